//! What a library registers while it is loaded: `redis.register_function`.

use crate::convert;
use crate::lua::{Kind, Lua, Raise, Ref};
use crate::shebang::ScriptFlags;

/// A function of a library.
pub(crate) struct Function {
    pub(crate) name: Vec<u8>,
    pub(crate) description: Option<Vec<u8>>,
    pub(crate) flags: ScriptFlags,
    pub(crate) callback: Ref,
}

/// What a library has registered so far.
#[derive(Default)]
pub(crate) struct Loading {
    pub(crate) functions: Vec<Function>,
}

/// The rule for names of libraries and functions.
pub(crate) const NAME_RULE: &str = "Library names can only contain letters, numbers, or underscores(_) and must be at least one character long";

/// Whether a name follows the rule.
pub(crate) fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

/// What the arguments describe.
#[derive(Default)]
struct Description {
    name: Option<Vec<u8>>,
    description: Option<Vec<u8>>,
    flags: ScriptFlags,
}

pub(crate) fn register(lua: &mut Lua) -> Result<i32, Raise> {
    let described = match lua.top() {
        1 => by_name(lua),
        2 => by_position(lua),
        _ => Err("wrong number of arguments to redis.register_function"),
    };
    let result = described.and_then(|(description, callback)| {
        let name = description.name.ok_or("redis.register_function must get a function name argument")?;
        let callback = callback.ok_or("redis.register_function must get a callback argument")?;
        if !is_name(&name) {
            return Err(NAME_RULE);
        }
        lua.with_session(|lua, session| {
            let loading = session.loading.as_mut();
            let loading =
                loading.ok_or("redis.register_function can only be called on FUNCTION LOAD command")?;
            if loading.functions.iter().any(|function| function.name == name) {
                return Err("Function already exists in the library");
            }
            lua.push_value(callback);
            let function = Function {
                name,
                description: description.description,
                flags: description.flags,
                callback: lua.keep(),
            };
            loading.functions.push(function);
            Ok(())
        })
    });
    match result {
        Ok(()) => Ok(0),
        Err(text) => {
            convert::push_error(lua, format!("ERR {text}").as_bytes(), false);
            Err(Raise)
        }
    }
}

type Described = (Description, Option<i32>);

/// `register_function(name, callback)`: what it says, and where the callback is.
fn by_position(lua: &mut Lua) -> Result<Described, &'static str> {
    let name =
        lua.coerce_bytes(1).ok_or("first argument to redis.register_function must be a string")?.to_vec();
    if lua.kind(2) != Kind::Function {
        return Err("second argument to redis.register_function must be a function");
    }
    Ok((Description { name: Some(name), ..Description::default() }, Some(2)))
}

/// `register_function{function_name=, callback=, flags=, description=}`
fn by_name(lua: &mut Lua) -> Result<Described, &'static str> {
    if lua.kind(1) != Kind::Table {
        return Err(
            "calling redis.register_function with a single argument is only applicable to Lua table (representing named \
             arguments).",
        );
    }
    let mut description = Description::default();
    let mut has_callback = false;
    // The callback is kept below the key and value of the traversal.
    lua.push_nil();
    lua.push_nil();
    while lua.next(1) {
        lua.push_value(-2);
        let key = lua.coerce_bytes(-1).map(<[u8]>::to_ascii_lowercase);
        lua.pop(1);
        let key = key.ok_or("named argument key given to redis.register_function is not a string")?;
        match &key[..] {
            b"function_name" => {
                let name = lua.coerce_bytes(-1);
                let name =
                    name.ok_or("function_name argument given to redis.register_function must be a string")?;
                description.name = Some(name.to_vec());
            }
            b"description" => {
                let text = lua.coerce_bytes(-1);
                let text =
                    text.ok_or("description argument given to redis.register_function must be a string")?;
                description.description = Some(text.to_vec());
            }
            b"callback" => {
                if lua.kind(-1) != Kind::Function {
                    return Err("callback argument given to redis.register_function must be a function");
                }
                lua.push_value(-1);
                lua.replace(2);
                has_callback = true;
            }
            b"flags" => description.flags = flags(lua)?,
            _ => return Err("unknown argument given to redis.register_function"),
        }
        lua.pop(1);
    }
    Ok((description, has_callback.then_some(2)))
}

/// The flags that the array on top of the stack names.
fn flags(lua: &mut Lua) -> Result<ScriptFlags, &'static str> {
    if lua.kind(-1) != Kind::Table {
        return Err("flags argument to redis.register_function must be a table representing function flags");
    }
    let mut flags = ScriptFlags::default();
    for i in 1.. {
        lua.get_element(-1, i);
        if lua.kind(-1) == Kind::Nil {
            lua.pop(1);
            break;
        }
        let flag = lua.bytes(-1).and_then(ScriptFlags::named);
        flags = flags.union(flag.ok_or("unknown flag given")?);
        lua.pop(1);
    }
    Ok(flags)
}
