//! CONFIG: reading and changing directives while the server runs.

use carnelian_config::{Access, Directive, SetError};

use crate::context::Ctx;
use crate::error::Error;
use crate::help;
use crate::persistence::aof::APPENDONLY;
use crate::row::{Flags, Group, Row};

const DIR: Directive = Directive::named("dir");
const PROTECTED_CONFIGS: Directive = Directive::named("enable-protected-configs");

pub(crate) static ROWS: &[Row] = &[Row {
    name: "config",
    summary: "Commands about the configuration.",
    since: "2.0.0",
    group: Group::Server,
    arity: -2,
    complexity: "Depends on subcommand",
    subcommands: SUBCOMMANDS,
    ..Row::EMPTY
}];

static SUBCOMMANDS: &[Row] = &[
    Row {
        name: "get",
        summary: "Answers the values of directives.",
        since: "2.0.0",
        group: Group::Server,
        arity: -3,
        flags: Flags::ADMINISTRATIVE,
        syntax: "parameter...",
        complexity: "O(N) when N is the number of configuration parameters provided",
        run: get,
        ..Row::EMPTY
    },
    Row {
        name: "help",
        summary: "Lists the subcommands.",
        since: "5.0.0",
        group: Group::Server,
        arity: 2,
        flags: Flags::HELPING,
        complexity: "O(1)",
        run: help::help,
        ..Row::EMPTY
    },
    Row {
        name: "resetstat",
        summary: "Sets the counters of INFO to zero.",
        since: "2.0.0",
        group: Group::Server,
        arity: 2,
        flags: Flags::ADMINISTRATIVE,
        complexity: "O(1)",
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        run: resetstat,
        ..Row::EMPTY
    },
    Row {
        name: "rewrite",
        summary: "Writes the values in force to the configuration file.",
        since: "2.8.0",
        group: Group::Server,
        arity: 2,
        flags: Flags::ADMINISTRATIVE,
        complexity: "O(1)",
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        run: rewrite,
        ..Row::EMPTY
    },
    Row {
        name: "set",
        summary: "Sets directives.",
        since: "2.0.0",
        group: Group::Server,
        arity: -4,
        flags: Flags::ADMINISTRATIVE,
        syntax: "<data=parameter value>...",
        complexity: "O(N) when N is the number of configuration parameters provided",
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        run: set,
        ..Row::EMPTY
    },
];

fn get(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let patterns: Vec<&[u8]> = cx.argv.iter().skip(2).collect();
    let found = cx.state.config.get(&patterns);
    cx.out.map(found.len());
    for (name, value) in found {
        cx.out.bulk(&name);
        cx.out.bulk(&value);
    }
    Ok(())
}

fn resetstat(cx: &mut Ctx<'_>) -> Result<(), Error> {
    cx.state.stats.reset();
    cx.state.scripting.reset_stats();
    cx.keyspace.reset_stats();
    cx.links.reset_totals();
    cx.out.ok();
    Ok(())
}

fn rewrite(cx: &mut Ctx<'_>) -> Result<(), Error> {
    if cx.links.identity().config_file.is_empty() {
        return Err(Error::Text("ERR The server is running without a config file"));
    }
    if let Err(reason) = cx.links.rewrite_config(&cx.state.config) {
        log::warn!("CONFIG REWRITE failed: {reason}");
        return Err(Error::other(format!("ERR Rewriting config file: {reason}")));
    }
    log::info!("CONFIG REWRITE executed with success.");
    cx.out.ok();
    Ok(())
}

fn set(cx: &mut Ctx<'_>) -> Result<(), Error> {
    if cx.argv.len() % 2 == 1 {
        return Err(Error::Syntax);
    }
    let words: Vec<&[u8]> = cx.argv.iter().skip(2).collect();
    let pairs: Vec<(&[u8], &[u8])> = words.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
    let access = Access { protected: cx.is_allowed(PROTECTED_CONFIGS), loading: cx.state.gate.loading };
    let changes = cx.state.config.set_many(&pairs, access).map_err(refusal)?;
    let moves = changes.iter().any(|change| change.directive == DIR);
    let applied = cx.links.apply(&changes, &cx.state.config);
    if let Err((directive, reason)) = applied {
        // What was applied before the one that failed goes back to the old values.
        let failed = changes.clone();
        cx.state.config.revert(changes);
        if let Err((directive, reason)) = cx.links.apply(&failed, &cx.state.config) {
            log::warn!("Failed to restore '{}' after a failed CONFIG SET: {reason}", directive.name());
        }
        return Err(refusal(SetError::apply(directive, reason)));
    }
    if moves {
        name_directory(cx);
    }
    cx.state.settings.reload(&cx.state.config, cx.keyspace);
    cx.state.effects.set_removals(cx.state.settings.removals);
    cx.state.scripting.reload(&cx.state.config);
    if let Err(reason) = cx.target().reload_log() {
        log::warn!("{reason}");
        cx.state.config.revert(changes);
        return Err(refusal(SetError::apply(
            APPENDONLY,
            "Unable to turn on AOF. Check server logs.".to_owned(),
        )));
    }
    cx.state.update_gate();
    cx.out.ok();
    Ok(())
}

/// A relative directory was relative to the one before.
fn name_directory(cx: &mut Ctx<'_>) {
    let directory = cx.links.directory().into_os_string().into_encoded_bytes();
    if !directory.is_empty()
        && let Err(reason) = cx.state.config.assign(DIR, &[&directory])
    {
        log::warn!("The working directory cannot be shown: {reason}");
    }
}

fn refusal(error: SetError) -> Error {
    match error {
        SetError::Loading => Error::Loading,
        other => Error::other(format!("ERR {other}")),
    }
}

#[cfg(test)]
mod tests {
    use carnelian_config::Directive;

    use crate::testing::Session;

    #[test]
    fn directives_are_read_and_set() {
        let mut session = Session::new();
        session.check(&[
            ("CONFIG GET maxmemory MAXMEMORY", "1) \"maxmemory\"\n2) \"0\""),
            ("CONFIG SET maxmemory 1mb", "OK"),
            ("CONFIG GET maxmemory", "1) \"maxmemory\"\n2) \"1048576\""),
            ("CONFIG SET a b c", "(error) ERR syntax error"),
            ("CONFIG SET nosuch 1", "(error) ERR Unknown option or number of arguments for CONFIG SET - 'nosuch'"),
            (
                "CONFIG SET dir /tmp",
                "(error) ERR CONFIG SET failed (possibly related to argument 'dir') - can't set protected config",
            ),
            ("CONFIG REWRITE", "(error) ERR The server is running without a config file"),
        ]);
        assert_eq!(session.outside.applied, ["maxmemory=1048576"]);
    }

    #[test]
    fn what_cannot_be_applied_is_taken_back() {
        let mut session = Session::new();
        session.outside.refuses = Some(Directive::named("port"));
        session.check(&[
            (
                "CONFIG SET maxmemory 5 port 7000",
                "(error) ERR CONFIG SET failed (possibly related to argument 'port') - Unable to apply",
            ),
            ("CONFIG GET maxmemory", "1) \"maxmemory\"\n2) \"0\""),
            ("CONFIG GET port", "1) \"port\"\n2) \"6379\""),
        ]);
        assert_eq!(session.outside.applied, ["maxmemory=5", "port=7000", "maxmemory=0", "port=6379"]);
    }

    #[test]
    fn the_access_policy_follows() {
        let mut session = Session::new();
        session.check(&[
            ("CONFIG SET maxmemory-policy allkeys-lfu", "OK"),
            ("SET k v", "OK"),
            ("OBJECT FREQ k", "(integer) 5"),
        ]);
    }
}
