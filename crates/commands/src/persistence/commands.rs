//! SAVE, BGSAVE and LASTSAVE.

use super::FILE;
use super::loading::{Merge, Source, Target};
use crate::args::is;
use crate::context::Ctx;
use crate::error::Error;
use crate::row::{Acl, Flags, Group, Row};
use carnelian_keyspace::Free;

pub(crate) static ROWS: &[Row] = &[
    Row {
        name: "bgsave",
        summary: "Saves all databases to disk while the server goes on.",
        since: "1.0.0",
        group: Group::Server,
        arity: -1,
        flags: Flags::ADMIN.union(Flags::NOSCRIPT).union(Flags::NO_ASYNC_LOADING),
        syntax: "[<SCHEDULE|CANCEL>]",
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
    if cx.state.persistence.saving.job.is_some() {
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
    if cx.state.persistence.saving.job.is_some() {
        return Err(IN_PROGRESS);
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

/// Gives up the save that is under way, or planned.
fn cancel(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let scheduled = std::mem::take(&mut cx.state.persistence.saving.scheduled);
    if cx.target().cancel_save() {
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
