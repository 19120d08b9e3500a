//! What keeps the dataset beyond the process: loading it at the start, saving it, and what INFO says of both.
//!
//! Files are reached through [`Disk`] only, by threads that read ahead or write behind. Whatever they have to say is
//! picked up at the end of a turn, for which they wake the loop.

use std::path::PathBuf;
use std::sync::Arc;

use carnelian_config::Directive;
use carnelian_persistence::disk::{Disk, FaultyDisk};

use crate::engine::State;
use crate::error::Error;
use crate::links::Links;
use crate::row::{Flags, Row};
use crate::table::CommandId;
use crate::transaction;

pub(crate) mod aof;
pub(crate) mod commands;
mod foreseen;
pub(crate) mod loading;
pub(crate) mod saving;
#[cfg(test)]
mod tests;

pub(crate) const FILE: Directive = Directive::named("dbfilename");

/// Where the dataset is kept, and how the threads that read and write there wake the loop.
#[derive(Clone)]
pub struct Storage {
    /// Where files are.
    pub disk: Arc<dyn Disk>,
    /// Ends the loop's sleep; called on any thread.
    pub wake: Arc<dyn Fn() + Send + Sync>,
}

impl Storage {
    /// A place that is empty and forgotten at the end, for tests and measurements.
    pub fn none() -> Storage {
        Storage { disk: Arc::new(FaultyDisk::new(0)), wake: Arc::new(|| {}) }
    }
}

/// What the engine knows about files and threads.
pub(crate) struct Persistence {
    pub(crate) storage: Storage,
    /// The loading that is under way.
    pub(crate) loading: Option<Box<loading::Loading>>,
    /// What the last one loaded, or has loaded so far.
    pub(crate) loaded: loading::Figures,
    pub(crate) saving: saving::Saving,
    pub(crate) aof: aof::Aof,
    /// Bytes of memory that the dataset took when it was saved, as the file that was loaded says.
    pub(crate) memory_then: u64,
    /// Why the server cannot go on.
    pub(crate) failure: Option<String>,
}

impl Persistence {
    pub(crate) fn new(storage: Storage, now_s: u64) -> Self {
        Persistence {
            storage,
            loading: None,
            loaded: loading::Figures::default(),
            memory_then: 0,
            saving: saving::Saving::new(now_s),
            aof: aof::Aof::default(),
            failure: None,
        }
    }
}

/// What keeps commands from running, apart from themselves. Most of the time it is nothing.
#[derive(Clone, Copy, Default)]
pub(crate) struct Gate {
    pub(crate) loading: bool,
    pub(crate) writes: bool,
}

impl Gate {
    #[inline]
    pub(crate) fn is_closed(self) -> bool {
        self.loading || self.writes
    }
}

impl State {
    /// To be called when something has changed that commands depend on.
    pub(crate) fn update_gate(&mut self) {
        // After a failure nobody sees the part that was loaded, up to the end of the process.
        let loading = self.persistence.loading.is_some() || self.persistence.failure.is_some();
        self.gate = Gate { loading, writes: self.refused_writes().is_some() };
    }

    /// Why commands that change the dataset are refused.
    pub(crate) fn refused_writes(&self) -> Option<Error> {
        self.refused_for_save().or_else(|| self.refused_for_log())
    }

    /// Whether a command may pass when not all may.
    #[cold]
    pub(crate) fn pass_gate(&self, slot: usize, id: CommandId) -> Result<(), Error> {
        let row = self.table.command(id).row;
        if self.gate.writes
            && (self.may_write(slot, id) || row.name == "ping")
            && let Some(error) = self.refused_writes()
        {
            return Err(error);
        }
        if self.gate.loading && !self.may_run_while_loading(slot, row) {
            return Err(Error::Loading);
        }
        Ok(())
    }

    /// EXEC may if all commands of its transaction may.
    fn may_run_while_loading(&self, slot: usize, row: &Row) -> bool {
        let may = |row: &Row| row.flags.contains(Flags::LOADING);
        may(row)
            && (!transaction::is_exec(row)
                || self.clients.get_at(slot).transaction.as_ref().is_none_or(|transaction| {
                    transaction.commands().all(|id| may(self.table.command(id).row))
                }))
    }

    /// The path of a file in the working directory. It stays the same when the directory changes.
    pub(crate) fn path_of(&self, links: &mut dyn Links, name: Directive) -> PathBuf {
        let name = String::from_utf8_lossy(self.config.text(name)).into_owned();
        links.directory().join(name)
    }
}
