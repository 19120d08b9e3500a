//! SAVE, BGSAVE and LASTSAVE.

use super::FILE;
use super::loading::{Merge, Source, Target};
use super::saving::Job;
use crate::args::is;
use crate::context::Ctx;
use crate::error::Error;
use crate::row::{Acl, Flags, Group, Row};
use carnelian_keyspace::Free;

pub(crate) static ROWS: &[Row] = &[
    Row {
        name: "bgrewriteaof",
        summary: "Rewrites the append only file while the server goes on.",
        since: "1.0.0",
        group: Group::Server,
        arity: 1,
        flags: Flags::ADMIN.union(Flags::NOSCRIPT).union(Flags::NO_ASYNC_LOADING),
        complexity: "O(1)",
        run: bgrewriteaof,
        ..Row::EMPTY
    },
    Row {
        name: "waitaof",
        summary: "Waits until the client's changes are on disk.",
        since: "7.2.0",
        group: Group::Generic,
        arity: 4,
        flags: Flags::BLOCKING,
        acl: Acl::CONNECTION.union(Acl::BLOCKING),
        syntax: "numlocal numreplicas timeout",
        complexity: "O(1)",
        tips: &["request_policy:all_shards", "response_policy:agg_min"],
        run: super::aof::wait_aof,
        ..Row::EMPTY
    },
    Row {
        name: "bgsave",
        summary: "Saves all databases to disk while the server goes on.",
        since: "1.0.0",
        group: Group::Server,
        arity: -1,
        flags: Flags::ADMIN.union(Flags::NOSCRIPT).union(Flags::NO_ASYNC_LOADING),
        syntax: "[operation=SCHEDULE|CANCEL]",
        complexity: "O(1)",
        run: bgsave,
        ..Row::EMPTY
    },
    Row {
        name: "lastsave",
        summary: "Answers when the dataset was last saved.",
        since: "1.0.0",
        group: Group::Server,
        arity: 1,
        flags: Flags::LOADING.union(Flags::STALE).union(Flags::FAST),
        acl: Acl::ADMIN.union(Acl::DANGEROUS),
        complexity: "O(1)",
        tips: &["nondeterministic_output"],
        run: lastsave,
        ..Row::EMPTY
    },
    Row {
        name: "save",
        summary: "Saves all databases to disk while everybody waits.",
        since: "1.0.0",
        group: Group::Server,
        arity: 1,
        flags: Flags::ADMIN.union(Flags::NOSCRIPT).union(Flags::NO_ASYNC_LOADING).union(Flags::NO_MULTI),
        complexity: "O(N) where N is the total number of keys in all databases",
        run: save,
        ..Row::EMPTY
    },
];

const IN_PROGRESS: Error = Error::Text("ERR Background save already in progress");

impl Ctx<'_> {
    /// What saving and loading work on.
    pub(crate) fn target(&mut self) -> Target<'_> {
        Target { keyspace: self.keyspace, state: self.state, links: self.links }
    }
}

fn save(cx: &mut Ctx<'_>) -> Result<(), Error> {
    if is_saving(cx) {
        return Err(IN_PROGRESS);
    }
    cx.state.persistence.saving.saves += 1;
    if !cx.target().save_now() {
        return Err(Error::Unexplained);
    }
    cx.out.ok();
    Ok(())
}

fn bgsave(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let mut schedule = false;
    match cx.argv.get(1) {
        None => {}
        Some(word) if cx.argv.len() == 2 && is(word, "SCHEDULE") => schedule = true,
        Some(word) if cx.argv.len() == 2 && is(word, "CANCEL") => return cancel(cx),
        Some(_) => return Err(Error::Syntax),
    }
    if is_saving(cx) {
        return Err(IN_PROGRESS);
    }
    cx.target().hurry_rest();
    if !schedule && cx.state.persistence.saving.job.is_some() {
        return Err(Error::Text(
            "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to \
             schedule a BGSAVE whenever possible.",
        ));
    }
    // A transaction is not cut in two, and what is left of a walk that was given up comes first.
    if schedule && !cx.target().is_free() || !cx.may_block || cx.keyspace.snapshot_active() {
        cx.state.persistence.saving.scheduled = true;
        cx.out.simple("Background saving scheduled");
        return Ok(());
    }
    if !cx.target().begin_background() {
        return Err(Error::Unexplained);
    }
    cx.out.simple("Background saving started");
    Ok(())
}

/// Whether a dump file is being written.
fn is_saving(cx: &Ctx<'_>) -> bool {
    cx.state.persistence.saving.job.as_ref().is_some_and(Job::is_dump)
}

fn bgrewriteaof(cx: &mut Ctx<'_>) -> Result<(), Error> {
    if cx.state.persistence.aof.rewriting_since().is_some() {
        return Err(Error::Text("ERR Background append only file rewriting already in progress"));
    }
    // A transaction is not cut in two, and what is left of another snapshot comes first.
    if !cx.target().is_free() || !cx.may_block {
        cx.state.persistence.aof.scheduled = true;
        cx.state.persistence.aof.failures = 0;
        cx.out.simple("Background append only file rewriting scheduled");
        return Ok(());
    }
    if !cx.target().begin_rewrite() {
        return Err(Error::Text(
            "ERR Can't execute an AOF background rewriting. Please check the server logs for more information.",
        ));
    }
    cx.out.simple("Background append only file rewriting started");
    Ok(())
}

/// DEBUG LOADAOF: puts everything on disk, empties the databases and loads the append only file.
pub(crate) fn load_aof(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let reloaded = cx.target().reload_from_log();
    cx.no_effect();
    if let Err(reason) = reloaded {
        log::warn!("{reason}");
        return Err(Error::Text("ERR Error trying to load the AOF files, check server logs."));
    }
    let dirty = cx.keyspace.stats().dirty;
    cx.state.persistence.saving.set_clean(dirty);
    log::info!("Append Only File loaded by DEBUG LOADAOF");
    cx.out.ok();
    Ok(())
}

/// Gives up the save that is under way, or planned.
fn cancel(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let scheduled = std::mem::take(&mut cx.state.persistence.saving.scheduled);
    if is_saving(cx) && cx.target().cancel_save() {
        cx.out.simple("Background saving cancelled");
    } else if scheduled {
        cx.out.simple("Scheduled background saving cancelled");
    } else {
        return Err(Error::Text("ERR Background saving is currently not in progress or scheduled"));
    }
    Ok(())
}

fn lastsave(cx: &mut Ctx<'_>) -> Result<(), Error> {
    cx.out.integer(cx.state.persistence.saving.last_save_s as i64);
    Ok(())
}

/// DEBUG RELOAD: saves, empties the databases and loads the file.
pub(crate) fn reload(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let words = cx.argv.skip(2);
    let given = |word: &str| words.iter().any(|arg| is(arg, word));
    let known = ["MERGE", "NOFLUSH", "NOSAVE"];
    if !words.iter().all(|arg| known.iter().any(|word| is(arg, word))) {
        return Err(Error::Text("ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options."));
    }
    if cx.state.gate.loading {
        return Err(Error::Loading);
    }
    cx.no_effect();
    if !given("NOSAVE") && !cx.target().save_now() {
        return Err(Error::Unexplained);
    }
    if !given("NOFLUSH") {
        cx.keyspace.flush_all(Free::Now);
        cx.state.scripting.functions().flush();
    }
    let merge = if given("MERGE") { Merge::Replace } else { Merge::Refuse };
    let mut target = cx.target();
    let path = target.state.path_of(target.links, FILE);
    let source = Source::dump(path, target.state, merge);
    if let Err(reason) = target.load_now(vec![source]) {
        log::warn!("{reason}");
        return Err(Error::Text("ERR Error trying to load the RDB dump, check server logs."));
    }
    let dirty = cx.keyspace.stats().dirty;
    cx.state.persistence.saving.set_clean(dirty);
    log::info!("DB reloaded by DEBUG RELOAD");
    cx.out.ok();
    Ok(())
}
