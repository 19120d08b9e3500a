//! Commands about the server as a whole.

pub(crate) mod configuration;
pub(crate) mod debug;
pub(crate) mod info;
pub(crate) mod introspection;
pub(crate) mod lolwut;
pub(crate) mod memory;

use carnelian_config::{Directive, ShutdownFlags};
use carnelian_keyspace::Free;
use carnelian_resp::number;

use crate::args::is;
use crate::context::Ctx;
use crate::error::Error;
use crate::links::Close;
use crate::row::{Acl, Flags, Group, Row};

/// Whether FLUSHALL and FLUSHDB free memory in the background unless they are told otherwise.
const LAZY_FLUSH: Directive = Directive::named("lazyfree-lazy-user-flush");

pub(crate) static ROWS: &[Row] = &[
    Row {
        name: "dbsize",
        summary: "Counts the keys of the database.",
        since: "1.0.0",
        group: Group::Server,
        arity: 1,
        flags: Flags::READONLY.union(Flags::FAST),
        acl: Acl::KEYSPACE,
        complexity: "O(1)",
        tips: &["request_policy:all_shards", "response_policy:agg_sum"],
        run: dbsize,
        ..Row::EMPTY
    },
    Row {
        name: "flushall",
        summary: "Removes all keys of all databases.",
        since: "1.0.0",
        group: Group::Server,
        arity: -1,
        flags: Flags::WRITE,
        acl: Acl::KEYSPACE.union(Acl::DANGEROUS),
        syntax: "[flush-type=ASYNC|SYNC]",
        complexity: "O(N) where N is the total number of keys in all databases",
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        run: flushall,
        ..Row::EMPTY
    },
    Row {
        name: "flushdb",
        summary: "Removes all keys of the database.",
        since: "1.0.0",
        group: Group::Server,
        arity: -1,
        flags: Flags::WRITE,
        acl: Acl::KEYSPACE.union(Acl::DANGEROUS),
        syntax: "[flush-type=ASYNC|SYNC]",
        complexity: "O(N) where N is the number of keys in the selected database",
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        run: flushdb,
        ..Row::EMPTY
    },
    Row {
        name: "shutdown",
        summary: "Stops the server.",
        since: "1.0.0",
        group: Group::Server,
        arity: -1,
        flags: Flags::ADMIN
            .union(Flags::NOSCRIPT)
            .union(Flags::LOADING)
            .union(Flags::STALE)
            .union(Flags::NO_MULTI)
            .union(Flags::ALLOW_BUSY),
        syntax: "[save-selector=NOSAVE|SAVE] [NOW] [FORCE] [SAFE] [ABORT]",
        complexity: "O(N) when saving, where N is the total number of keys in all databases when saving data, otherwise O(1)",
        run: shutdown,
        ..Row::EMPTY
    },
    Row {
        name: "swapdb",
        summary: "Exchanges two databases.",
        since: "4.0.0",
        group: Group::Server,
        arity: 3,
        flags: Flags::WRITE.union(Flags::FAST),
        acl: Acl::KEYSPACE.union(Acl::DANGEROUS),
        syntax: "index1:integer index2:integer",
        complexity: "O(N) where N is the count of clients watching or blocking on keys from both databases",
        run: swapdb,
        ..Row::EMPTY
    },
    Row {
        name: "time",
        summary: "Answers the server's clock.",
        since: "2.6.0",
        group: Group::Server,
        arity: 1,
        flags: Flags::LOADING.union(Flags::STALE).union(Flags::FAST),
        complexity: "O(1)",
        tips: &["nondeterministic_output"],
        run: time,
        ..Row::EMPTY
    },
];

fn dbsize(cx: &mut Ctx<'_>) -> Result<(), Error> {
    cx.out.integer(cx.keyspace.len(cx.db) as i64);
    Ok(())
}

fn flushall(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let free = flush_mode(cx)?;
    cx.keyspace.flush_all(free);
    cx.target().flushed_all();
    cx.own_effect();
    cx.out.ok();
    Ok(())
}

fn flushdb(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let free = flush_mode(cx)?;
    cx.keyspace.flush(cx.db, free);
    cx.own_effect();
    cx.out.ok();
    Ok(())
}

/// How a flush is to free memory.
fn flush_mode(cx: &Ctx<'_>) -> Result<Free, Error> {
    match cx.argv.get(1) {
        _ if cx.argv.len() > 2 => Err(Error::Syntax),
        None if cx.state.config.flag(LAZY_FLUSH) => Ok(Free::Lazy),
        None => Ok(Free::Now),
        Some(word) if is(word, "SYNC") => Ok(Free::Now),
        Some(word) if is(word, "ASYNC") => Ok(Free::Lazy),
        Some(_) => Err(Error::Syntax),
    }
}

fn shutdown(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let given = |word: &str| cx.argv.iter().skip(1).any(|arg| is(arg, word));
    let known = ["NOSAVE", "SAVE", "NOW", "FORCE", "SAFE", "ABORT"];
    let all_known = cx.argv.iter().skip(1).all(|arg| known.iter().any(|word| is(arg, word)));
    let others = known[..5].iter().any(|word| given(word));
    if !all_known || (given("ABORT") && others) || (given("NOSAVE") && given("SAVE")) {
        return Err(Error::Syntax);
    }
    if given("ABORT") {
        return Err(Error::Text("ERR No shutdown in progress."));
    }
    if let Some(running) = &mut cx.state.scripting.running {
        if !given("NOSAVE") {
            return Err(Error::other(crate::scripting::busy(running.kind).into_owned()));
        }
        running.stop = Some("Script ended because the server stops.");
    }
    let flags = ShutdownFlags {
        save: given("SAVE"),
        nosave: given("NOSAVE"),
        now: given("NOW"),
        force: given("FORCE"),
        safe: given("SAFE"),
        failover: false,
    };
    if !cx.target().prepare_shutdown(flags) {
        return Err(Error::Text("ERR Errors trying to SHUTDOWN. Check logs."));
    }
    cx.links.stop();
    cx.client().close = Some(Close::AfterReply);
    Ok(())
}

fn swapdb(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let index = |i: usize| number::parse_i64(cx.arg(i)).filter(|index| i32::try_from(*index).is_ok());
    let first = index(1).ok_or(Error::InvalidFirstDb)?;
    let second = index(2).ok_or(Error::InvalidSecondDb)?;
    let exists = |index: i64| usize::try_from(index).ok().filter(|index| *index < cx.keyspace.databases());
    let (first, second) =
        (exists(first).ok_or(Error::DbOutOfRange)?, exists(second).ok_or(Error::DbOutOfRange)?);
    cx.keyspace.swap(first, second);
    cx.keyspace.add_dirty(1);
    cx.out.ok();
    Ok(())
}

fn time(cx: &mut Ctx<'_>) -> Result<(), Error> {
    cx.out.array(2);
    for part in [cx.now_us / 1_000_000, cx.now_us % 1_000_000] {
        cx.out.bulk(itoa::Buffer::new().format(part).as_bytes());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::engine::Next;
    use crate::testing::{Session, check};

    #[test]
    fn databases_are_flushed_and_swapped() {
        check(&[
            ("SET k v", "OK"),
            ("FLUSHALL what", "(error) ERR syntax error"),
            ("FLUSHALL SYNC ASYNC", "(error) ERR syntax error"),
            ("DBSIZE", "(integer) 1"),
            ("FLUSHDB ASYNC", "OK"),
            ("DBSIZE", "(integer) 0"),
            ("SWAPDB a b", "(error) ERR invalid first DB index"),
            ("SWAPDB 0 b", "(error) ERR invalid second DB index"),
            ("SWAPDB 0 99", "(error) ERR DB index is out of range"),
            ("SWAPDB 1 1", "OK"),
            ("TIME", "1) \"1700000000\"\n2) \"0\""),
        ]);
    }

    #[test]
    fn shutdown_takes_its_words_seriously() {
        let mut session = Session::new();
        session.check(&[
            ("SHUTDOWN WHAT", "(error) ERR syntax error"),
            ("SHUTDOWN SAVE NOSAVE", "(error) ERR syntax error"),
            ("SHUTDOWN ABORT NOW", "(error) ERR syntax error"),
            ("SHUTDOWN ABORT", "(error) ERR No shutdown in progress."),
        ]);
        assert!(!session.outside.stopped);
        assert_eq!(session.step_of(0, "SHUTDOWN NOSAVE"), (Next::CloseAfterReply, vec![]));
        assert!(session.outside.stopped);
    }

    #[test]
    fn memory_is_measured() {
        let mut session = Session::new();
        session.check(&[
            ("MEMORY USAGE nosuch", "(nil)"),
            ("SET k v", "OK"),
            ("MEMORY USAGE k SAMPLES", "(error) ERR syntax error"),
            ("MEMORY USAGE k SAMPLES -1", "(error) ERR syntax error"),
            ("MEMORY USAGE k what", "(error) ERR syntax error"),
            ("MEMORY PURGE", "OK"),
        ]);
        let usage = session.run("MEMORY USAGE k SAMPLES 0");
        let bytes: u64 = usage.trim_start_matches("(integer) ").parse().expect("a number");
        assert!((8..=32).contains(&bytes), "{bytes}");
        let stats = session.run("MEMORY STATS");
        assert!(stats.contains("\"keys.count\"\n") || stats.contains("\"keys.count\""), "{stats}");
    }

    #[test]
    fn sections_are_chosen() {
        let mut session = Session::new();
        let mut headings = |sections: &str| -> Vec<String> {
            let text = session.run(&format!("INFO {sections}"));
            let text = text.replace("\\r\\n", "\n");
            let lines = text.trim_matches('"').lines().map(str::trim);
            lines.filter_map(|line| line.strip_prefix("# ")).map(str::to_owned).collect()
        };
        assert_eq!(headings("cpu KEYSPACE"), ["CPU", "Keyspace"]);
        assert_eq!(headings("nosuch"), [""; 0]);
        let default = headings("");
        assert_eq!(default, headings("default"));
        assert!(
            default.iter().any(|name| name == "Server") && !default.iter().any(|name| name == "Commandstats")
        );
        assert!(headings("everything").iter().any(|name| name == "Latencystats"));
    }
}
