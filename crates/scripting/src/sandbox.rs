//! The global variables that scripts and functions see: Lua's harmless functions, the libraries, the `redis` table.
//! All tables among them are protected (see [`guard`]), and unknown names are errors.

use crate::api;
use crate::host::LogLevel;
use crate::library;
use crate::libs::{bit, cjson, cmsgpack, random, structs};
use crate::lua::guard::{self, Guard};
use crate::lua::{Kind, Lua, Native, Raise, Ref, Vm};

/// Versions that scripts can ask for.
#[derive(Clone, Debug)]
pub struct Versions {
    /// Of Redis, whose behaviour scripts may assume: `major.minor.patch`.
    pub redis: String,
}

impl Versions {
    /// `0x00MMmmpp`
    fn number(&self) -> u32 {
        let parts = self.redis.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        parts.take(3).fold(0, |number, part| number << 8 | part & 0xff)
    }
}

/// Global functions of Lua that scripts have. `pcall`, and those that [`guarded`] names, are not quite Lua's own.
const GLOBALS: &[&str] = &[
    "assert",
    "collectgarbage",
    "error",
    "gcinfo",
    "getmetatable",
    "ipairs",
    "load",
    "loadstring",
    "next",
    "pairs",
    "pcall",
    "rawequal",
    "rawget",
    "rawset",
    "select",
    "setmetatable",
    "tonumber",
    "tostring",
    "type",
    "unpack",
    "xpcall",
    "_VERSION",
    "coroutine",
    "math",
    "string",
    "table",
    "os",
];

/// The sandboxed parts of a state.
pub(crate) struct Sandbox {
    /// What error values pass through.
    pub(crate) handler: Ref,
    /// The table behind the protected table of globals.
    pub(crate) globals: Ref,
}

/// Sets up the globals of a state for scripts.
pub(crate) fn for_scripts(vm: &mut Vm, versions: &Versions) -> Sandbox {
    let lua = vm.lua();
    push_common(lua, versions, api::SCRIPT_FUNCTIONS);
    finish(lua)
}

/// Sets up the globals of a state for functions; also returns the globals that libraries have while they are loaded.
pub(crate) fn for_functions(vm: &mut Vm, versions: &Versions) -> (Sandbox, Ref) {
    let lua = vm.lua();
    push_common(lua, versions, &[]);
    let sandbox = finish(lua);
    lua.push_table(0, 2);
    push_api(lua, versions, &[("log", log_function()), ("register_function", library::register)]);
    refuse_unknown(lua);
    protect(lua, true);
    lua.push_value(-1);
    lua.set_field(-3, "redis");
    lua.set_field(-2, "server");
    refuse_unknown(lua);
    let loading = lua.keep();
    (sandbox, loading)
}

fn log_function() -> Native {
    let (_, log) = api::FUNCTIONS.iter().find(|(name, _)| *name == "log").expect("there is such a function");
    *log
}

/// Pushes a table with all global variables, not protected yet.
fn push_common(lua: &mut Lua, versions: &Versions, more: &[(&str, Native)]) {
    restrict_libraries(lua);
    lua.push_table(0, 48);
    for name in GLOBALS {
        lua.push_globals();
        lua.get_field(-1, name);
        lua.remove(-2);
        if lua.kind(-1) == Kind::Table {
            protect(lua, false);
        }
        lua.set_field(-2, name);
    }
    protect_strings(lua);
    for (name, open) in [
        ("cjson", cjson::open as fn(&mut Lua)),
        ("cmsgpack", cmsgpack::open),
        ("struct", structs::open),
        ("bit", bit::open),
    ] {
        open(lua);
        protect(lua, false);
        lua.set_field(-2, name);
    }
    lua.push_table(0, 32);
    let functions: Vec<_> = api::FUNCTIONS.iter().chain(more).copied().collect();
    push_into_api(lua, versions, &functions);
    push_replication(lua);
    protect(lua, false);
    lua.push_value(-1);
    lua.set_field(-3, "redis");
    lua.set_field(-2, "server");
}

/// Protects the table of globals on top of the stack, makes it that of all code, and pops it.
fn finish(lua: &mut Lua) -> Sandbox {
    refuse_unknown(lua);
    lua.push_value(-1);
    let globals = lua.keep();
    lua.push_value(-1);
    protect(lua, true);
    lua.push_value(-1);
    lua.set_field(-3, "_G");
    lua.set_globals();
    lua.pop(1);
    lua.push_native(api::handle_error, 0);
    Sandbox { handler: lua.keep(), globals }
}

fn push_api(lua: &mut Lua, versions: &Versions, functions: &[(&str, Native)]) {
    lua.push_table(0, 12);
    push_into_api(lua, versions, functions);
}

/// Adds functions and constants to the table on top of the stack.
fn push_into_api(lua: &mut Lua, versions: &Versions, functions: &[(&str, Native)]) {
    for (name, function) in functions {
        lua.push_native(*function, 0);
        lua.set_field(-2, name);
    }
    for (value, (name, _)) in api::LOG_LEVELS.iter().enumerate() {
        lua.push_number(value as f64);
        lua.set_field(-2, name);
    }
    debug_assert_eq!(api::LOG_LEVELS[0].1, LogLevel::Debug);
    lua.push_str(&versions.redis);
    lua.set_field(-2, "REDIS_VERSION");
    lua.push_number(f64::from(versions.number()));
    lua.set_field(-2, "REDIS_VERSION_NUM");
}

fn push_replication(lua: &mut Lua) {
    for (name, flags) in api::REPLICATION {
        lua.push_number(flags as f64);
        lua.set_field(-2, name);
    }
}

/// Puts guards before the functions of Lua's libraries that could change protected tables or run precompiled code, and
/// leaves of `os` the clock only.
fn restrict_libraries(lua: &mut Lua) {
    lua.push_globals();
    lua.get_field(-1, "next");
    lua.push_value(-1);
    lua.wrap(Guard::Read);
    lua.wrap(Guard::Pairs);
    // It returns the guarded `next` for protected tables only: others need not pay for it.
    lua.set_field(-2, "pairs");
    for (name, guard) in [
        ("rawset", Guard::Change),
        ("setmetatable", Guard::Change),
        ("rawget", Guard::Read),
        ("next", Guard::Read),
        ("getmetatable", Guard::Metatable),
        ("loadstring", Guard::LoadString),
    ] {
        wrap_field(lua, name, guard);
    }
    lua.wrap(Guard::Load);
    lua.set_field(-2, "load");
    lua.wrap(Guard::Pcall);
    lua.set_field(-2, "pcall");
    lua.wrap(Guard::Xpcall);
    lua.set_field(-2, "xpcall");
    lua.get_field(-1, "math");
    random::open(lua);
    lua.pop(1);
    lua.get_field(-1, "table");
    wrap_field(lua, "insert", Guard::Change);
    wrap_field(lua, "foreach", Guard::Read);
    lua.pop(1);
    lua.get_field(-1, "os");
    lua.get_field(-1, "clock");
    lua.push_table(0, 1);
    lua.insert(-2);
    lua.set_field(-2, "clock");
    lua.remove(-2);
    lua.set_field(-2, "os");
    lua.pop(1);
}

/// Puts a guard before a function of the table on top of the stack.
fn wrap_field(lua: &mut Lua, name: &str, guard: Guard) {
    lua.get_field(-1, name);
    lua.wrap(guard);
    lua.set_field(-2, name);
}

/// Protects the metatable of strings, whose `__index` is the table of string functions.
fn protect_strings(lua: &mut Lua) {
    lua.push_str("");
    lua.metatable(-1);
    lua.push_globals();
    lua.get_field(-1, "string");
    lua.remove(-2);
    protect(lua, false);
    // What `getmetatable` returns for strings.
    lua.push_table(0, 1);
    lua.insert(-2);
    lua.set_field(-2, "__index");
    protect(lua, false);
    lua.set_field(-2, "__metatable");
    lua.pop(2);
}

/// Makes reading an unknown name of the table on top of the stack an error.
fn refuse_unknown(lua: &mut Lua) {
    lua.push_table(0, 1);
    lua.push_native(unknown_name, 0);
    lua.set_field(-2, "__index");
    lua.set_metatable(-2);
}

fn unknown_name(lua: &mut Lua) -> Result<i32, Raise> {
    let name = match lua.kind(2) {
        Kind::String | Kind::Number => {
            String::from_utf8_lossy(lua.coerce_bytes(2).unwrap_or_default()).into_owned()
        }
        _ => {
            let text = "Second argument to luaProtectedTableError must be a string or number";
            return Err(lua.raise_here(text));
        }
    };
    Err(lua.raise_here(&format!("Script attempted to access nonexistent global variable '{name}'")))
}

/// Replaces the table on top of the stack by a protected one in front of it. `visible`: `getmetatable` shows that it has a
/// metatable.
pub(crate) fn protect(lua: &mut Lua, visible: bool) {
    lua.push_table(0, 0);
    lua.push_table(0, 4);
    lua.push_value(-3);
    lua.set_field(-2, "__index");
    lua.wrap(Guard::Refuse);
    lua.set_field(-2, "__newindex");
    lua.push_light(guard::mark());
    lua.push_value(-4);
    lua.raw_set(-3);
    if visible {
        lua.push_table(0, 0);
        protect(lua, false);
        lua.set_field(-2, "__metatable");
    }
    lua.set_metatable(-2);
    lua.remove(-2);
}

/// Changes what the protected table of globals shows to the table `behind`.
pub(crate) fn show(lua: &mut Lua, behind: &Ref) {
    lua.push_globals();
    let has = lua.metatable(-1);
    debug_assert!(has, "the table of globals is protected");
    lua.push_ref(behind);
    lua.push_value(-1);
    lua.set_field(-3, "__index");
    lua.push_light(guard::mark());
    lua.insert(-2);
    lua.raw_set(-3);
    lua.pop(2);
}
