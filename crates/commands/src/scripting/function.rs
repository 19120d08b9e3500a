//! FUNCTION: the libraries of functions.

use carnelian_persistence::rdb::{self, Fault, Format, Payload, PayloadError};
use carnelian_scripting::{Library, Policy};

use super::host::ScriptHost;
use super::{BASE, Kind, check_flush, kill};
use crate::args::{Rest, is};
use crate::context::Ctx;
use crate::error::Error;
use crate::generic::dump::{COMPRESSION, FORMAT};
use crate::glob::{self, Case};
use crate::help::help;
use crate::row::{Flags, Row};

pub(super) const CONTAINER: Row = Row {
    name: "function",
    summary: "Manages libraries of Lua functions.",
    since: "7.0.0",
    group: BASE.group,
    arity: -2,
    complexity: "Depends on subcommand.",
    subcommands: &[DELETE, DUMP, FLUSH, HELP, KILL, LIST, LOAD, RESTORE, STATS],
    ..Row::EMPTY
};

/// What all subcommands have in common.
const SUB: Row = Row { flags: Flags::NOSCRIPT, keys: &[], complexity: "O(1)", since: "7.0.0", ..BASE };

const ALL_SUCCEED: &[&str] = &["request_policy:all_shards", "response_policy:all_succeeded"];

const DELETE: Row = Row {
    name: "delete",
    summary: "Forgets a library and its functions.",
    arity: 3,
    flags: SUB.flags.union(Flags::WRITE),
    syntax: "library-name",
    tips: ALL_SUCCEED,
    run: delete,
    ..SUB
};

fn delete(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let name = cx.arg(2);
    if !cx.state.scripting.functions().delete(name) {
        return Err(Error::Text("ERR Library not found"));
    }
    cx.keyspace.add_dirty(1);
    cx.out.ok();
    Ok(())
}

const DUMP: Row = Row {
    name: "dump",
    summary: "Returns all libraries as bytes for RESTORE.",
    arity: 2,
    complexity: "O(N), N being the size of the libraries.",
    run: dump,
    ..SUB
};

fn dump(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let config = &cx.state.config;
    let format = Format::named(config.word(FORMAT)).expect("the directive takes the names of formats");
    let compress = config.flag(COMPRESSION);
    let functions = cx.state.scripting.functions();
    cx.out.bulk(&rdb::dump_functions(functions.libraries().map(Library::code), format, compress));
    Ok(())
}

const RESTORE: Row = Row {
    name: "restore",
    summary: "Loads libraries from DUMP.",
    arity: -3,
    flags: SUB.flags.union(Flags::WRITE).union(Flags::DENYOOM),
    syntax: "serialized-value [policy=FLUSH|APPEND|REPLACE]",
    complexity: "O(N), N being the size of the libraries.",
    tips: ALL_SUCCEED,
    run: restore,
    ..SUB
};

fn restore(cx: &mut Ctx<'_>) -> Result<(), Error> {
    if cx.argv.len() > 4 {
        return Err(Error::subcommand_or_arity("FUNCTION", cx.arg(1)));
    }
    let policy = match cx.argv.get(3) {
        None => Policy::Append,
        Some(word) if is(word, "APPEND") => Policy::Append,
        Some(word) if is(word, "REPLACE") => Policy::Replace,
        Some(word) if is(word, "FLUSH") => Policy::Flush,
        Some(_) => {
            return Err(Error::Text(
                "ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.",
            ));
        }
    };
    let payload = Payload::check(cx.arg(2));
    let payload = payload.map_err(|_| Error::Text("ERR DUMP payload version or checksum are wrong"))?;
    let codes = payload.functions().map_err(|error| match error {
        PayloadError::Value(_, Fault::Type(_)) => Error::Text("ERR given type is not a function"),
        _ => Error::Text("ERR Failed loading library data"),
    })?;
    let mut functions = cx.state.scripting.functions.take().expect("no function runs");
    let restored = functions.restore(&codes, policy, &mut ScriptHost::for_library(cx));
    cx.state.scripting.functions = Some(functions);
    restored?;
    cx.keyspace.add_dirty(1);
    cx.out.ok();
    Ok(())
}

const FLUSH: Row = Row {
    name: "flush",
    summary: "Forgets all libraries.",
    arity: -2,
    flags: SUB.flags.union(Flags::WRITE),
    syntax: "[flush-type=ASYNC|SYNC]",
    complexity: "O(N), N being the number of functions.",
    tips: ALL_SUCCEED,
    run: flush,
    ..SUB
};

fn flush(cx: &mut Ctx<'_>) -> Result<(), Error> {
    if cx.argv.len() > 3 {
        return Err(Error::subcommand_or_arity("FUNCTION", cx.arg(1)));
    }
    check_flush(cx, "ERR FUNCTION FLUSH only supports SYNC|ASYNC option")?;
    cx.state.scripting.functions().flush();
    cx.keyspace.add_dirty(1);
    cx.out.ok();
    Ok(())
}

const HELP: Row = Row {
    name: "help",
    summary: "Lists the subcommands.",
    arity: 2,
    flags: Flags::LOADING.union(Flags::STALE),
    run: help,
    ..SUB
};

const KILL: Row = Row {
    name: "kill",
    summary: "Ends the running function, unless it has written.",
    arity: 2,
    flags: SUB.flags.union(Flags::ALLOW_BUSY),
    tips: &["request_policy:all_shards", "response_policy:one_succeeded"],
    run: |cx| kill(cx, Kind::Function),
    ..SUB
};

const LIST: Row = Row {
    name: "list",
    summary: "Describes the libraries.",
    arity: -2,
    syntax: "[LIBRARYNAME library-name-pattern] [WITHCODE]",
    complexity: "O(N), N being the number of functions.",
    tips: &["nondeterministic_output_order"],
    run: list,
    ..SUB
};

fn list(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let (mut pattern, mut with_code) = (None, false);
    let mut rest = Rest::new(cx.argv, 2);
    while let Some(word) = rest.next() {
        if !with_code && is(word, "WITHCODE") {
            with_code = true;
        } else if pattern.is_none() && is(word, "LIBRARYNAME") {
            pattern = Some(rest.next().ok_or(Error::Text("ERR library name argument was not given"))?);
        } else {
            return Err(Error::quoting(b"ERR Unknown argument ", word, b""));
        }
    }
    let functions = cx.state.scripting.functions();
    let shown = |library: &&Library| {
        pattern.is_none_or(|pattern| glob::matches(pattern, library.name(), Case::Ignored))
    };
    cx.out.array(functions.libraries().filter(shown).count());
    for library in functions.libraries().filter(shown) {
        describe(cx.out, library, with_code);
    }
    Ok(())
}

fn describe(out: &mut carnelian_resp::ReplyBuf, library: &Library, with_code: bool) {
    out.map(if with_code { 4 } else { 3 });
    out.bulk(b"library_name");
    out.bulk(library.name());
    out.bulk(b"engine");
    out.bulk(b"LUA");
    out.bulk(b"functions");
    out.array(library.functions().len());
    for function in library.functions() {
        out.map(3);
        out.bulk(b"name");
        out.bulk(function.name);
        out.bulk(b"description");
        match function.description {
            Some(text) => out.bulk(text),
            None => out.null(),
        }
        out.bulk(b"flags");
        out.set(function.flags.names().count());
        function.flags.names().for_each(|name| out.simple(name));
    }
    if with_code {
        out.bulk(b"library_code");
        out.bulk(library.code());
    }
}

const LOAD: Row = Row {
    name: "load",
    summary: "Loads a library.",
    arity: -3,
    flags: SUB.flags.union(Flags::WRITE).union(Flags::DENYOOM),
    syntax: "[REPLACE] function-code",
    complexity: "O(N), N being the length of the code.",
    tips: ALL_SUCCEED,
    run: load,
    ..SUB
};

fn load(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let last = cx.argv.len() - 1;
    let mut replace = false;
    for word in cx.argv.skip(2).iter().take(last - 2) {
        if !is(word, "REPLACE") {
            return Err(Error::quoting(b"ERR Unknown option given: ", word, b""));
        }
        replace = true;
    }
    let mut functions = cx.state.scripting.functions.take().expect("no function runs");
    let loaded = functions.load(cx.arg(last), replace, &mut ScriptHost::for_library(cx));
    cx.state.scripting.functions = Some(functions);
    let name = loaded?;
    cx.keyspace.add_dirty(1);
    cx.out.bulk(&name);
    Ok(())
}

const STATS: Row = Row {
    name: "stats",
    summary: "Describes the running function, and counts libraries and functions.",
    arity: 2,
    flags: SUB.flags.union(Flags::ALLOW_BUSY),
    tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
    run: stats,
    ..SUB
};

fn stats(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let now_ns = cx.links.clock_ns();
    let scripting = &cx.state.scripting;
    cx.out.map(2);
    cx.out.bulk(b"running_script");
    match &scripting.running {
        None => cx.out.null(),
        Some(running) => {
            cx.out.map(3);
            cx.out.bulk(b"name");
            cx.out.bulk(&running.name);
            cx.out.bulk(b"command");
            cx.out.array(running.command.len());
            running.command.as_argv().iter().for_each(|word| cx.out.bulk(word));
            cx.out.bulk(b"duration_ms");
            cx.out.integer((now_ns.saturating_sub(running.began_ns) / 1_000_000) as i64);
        }
    }
    let (libraries, functions) = scripting.count();
    cx.out.bulk(b"engines");
    cx.out.map(1);
    cx.out.bulk(b"LUA");
    cx.out.map(2);
    cx.out.bulk(b"libraries_count");
    cx.out.integer(libraries as i64);
    cx.out.bulk(b"functions_count");
    cx.out.integer(functions as i64);
    Ok(())
}
