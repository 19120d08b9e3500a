//! SCRIPT: the scripts that the server knows.

use super::{BASE, Kind, check_flush, kill};
use crate::args::is;
use crate::context::Ctx;
use crate::error::Error;
use crate::help::help;
use crate::row::{Flags, Row};

pub(super) const CONTAINER: Row = Row {
    name: "script",
    summary: "Manages Lua scripts.",
    since: "2.6.0",
    group: BASE.group,
    arity: -2,
    complexity: "Depends on subcommand.",
    subcommands: &[DEBUG, EXISTS, FLUSH, HELP, KILL, LOAD, SHOW],
    ..Row::EMPTY
};

/// What all subcommands have in common.
const SUB: Row = Row { flags: Flags::NOSCRIPT, keys: &[], complexity: "O(1)", since: "2.6.0", ..BASE };

const DEBUG: Row = Row {
    name: "debug",
    summary: "Would set how scripts are debugged; there is no debugger.",
    since: "3.2.0",
    arity: 3,
    syntax: "<mode=YES|SYNC|NO>",
    run: debug,
    ..SUB
};

fn debug(cx: &mut Ctx<'_>) -> Result<(), Error> {
    match cx.arg(2) {
        word if is(word, "NO") => {
            cx.out.ok();
            Ok(())
        }
        word if is(word, "YES") || is(word, "SYNC") => {
            Err(Error::Text("ERR SCRIPT DEBUG is not supported: this server has no script debugger"))
        }
        _ => Err(Error::Text("ERR Use SCRIPT DEBUG YES/SYNC/NO")),
    }
}

const EXISTS: Row = Row {
    name: "exists",
    summary: "Tells which of some digests are those of scripts that the server knows.",
    arity: -3,
    syntax: "sha1...",
    complexity: "O(N), N being the number of digests.",
    tips: &["request_policy:all_shards", "response_policy:agg_logical_and"],
    run: exists,
    ..SUB
};

fn exists(cx: &mut Ctx<'_>) -> Result<(), Error> {
    cx.out.array(cx.argv.len() - 2);
    for digest in cx.argv.skip(2).iter() {
        let known = cx.state.scripting.scripts().find(digest).is_some();
        cx.out.integer(i64::from(known));
    }
    Ok(())
}

const FLUSH: Row = Row {
    name: "flush",
    summary: "Forgets all scripts.",
    arity: -2,
    syntax: "[flush-type=ASYNC|SYNC]",
    complexity: "O(N), N being the number of scripts.",
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    run: flush,
    ..SUB
};

fn flush(cx: &mut Ctx<'_>) -> Result<(), Error> {
    check_flush(cx, "ERR SCRIPT FLUSH only support SYNC|ASYNC option")?;
    cx.state.scripting.scripts().flush();
    cx.out.ok();
    Ok(())
}

const HELP: Row = Row {
    name: "help",
    summary: "Lists the subcommands.",
    since: "5.0.0",
    arity: 2,
    flags: Flags::LOADING.union(Flags::STALE),
    run: help,
    ..SUB
};

const KILL: Row = Row {
    name: "kill",
    summary: "Ends the running script, unless it has written.",
    arity: 2,
    flags: SUB.flags.union(Flags::ALLOW_BUSY),
    tips: &["request_policy:all_shards", "response_policy:one_succeeded"],
    run: |cx| kill(cx, Kind::Script),
    ..SUB
};

const LOAD: Row = Row {
    name: "load",
    summary: "Makes a script known without running it.",
    arity: 3,
    flags: SUB.flags.union(Flags::STALE),
    syntax: "script",
    complexity: "O(N), N being the length of the script.",
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    run: load,
    ..SUB
};

fn load(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let body = cx.arg(2);
    let digest = cx.state.scripting.scripts().load(body)?;
    cx.out.bulk(&digest);
    Ok(())
}

const SHOW: Row = Row {
    name: "show",
    summary: "Answers the text of a script.",
    since: "8.0.0",
    arity: 3,
    flags: SUB.flags.union(Flags::STALE),
    syntax: "sha1",
    run: show,
    ..SUB
};

fn show(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let digest = cx.arg(2);
    let scripts = cx.state.scripting.scripts();
    let id = scripts.find(digest).ok_or(Error::Text("NOSCRIPT No matching script."))?;
    cx.out.bulk(scripts.body(id));
    Ok(())
}
