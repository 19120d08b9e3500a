//! The server as a running script sees it.

use carnelian_resp::{OwnedArgv, Protocol, ReplyBuf, number};
use carnelian_scripting::{Finished, Host, LogLevel, Replication, Reply, Verdict};

use super::{BUSY_THRESHOLD, Kind, Running};
use crate::context::Ctx;
use crate::error::Error;
use crate::row::Flags;
use crate::stats::Stats;

/// A script's surroundings: those of the command that runs it.
pub(super) struct ScriptHost<'c, 'a> {
    cx: &'c mut Ctx<'a>,
    kind: Kind,
    may_write: bool,
    /// Whether it is the code of a library that runs, and not a function.
    loads: bool,
    words: OwnedArgv,
    reply: ReplyBuf,
    /// Whether it has executed a command that writes.
    wrote: bool,
    /// When it began, on the monotonic clock.
    began_ns: u64,
}

/// How long the code of a library may run while it is loaded.
const LOAD_LIMIT_NS: u64 = 500_000_000;

impl<'c, 'a> ScriptHost<'c, 'a> {
    pub(super) fn new(cx: &'c mut Ctx<'a>, kind: Kind, may_write: bool) -> Self {
        let began_ns = cx.began_ns();
        let (words, reply) = std::mem::take(&mut cx.state.scripting.scratch);
        ScriptHost { cx, kind, may_write, loads: false, words, reply, wrote: false, began_ns }
    }

    /// For the code of a library.
    pub(super) fn for_library(cx: &'c mut Ctx<'a>) -> Self {
        let mut host = ScriptHost::new(cx, Kind::Function, false);
        host.loads = true;
        host
    }

    /// Serves others beside a script that is slow, and learns from them whether it is to end.
    fn serve_others(&mut self) -> Verdict {
        let (kind, wrote, began_ns) = (self.kind, self.wrote, self.began_ns);
        let (argv, now_ns) = (self.cx.argv, self.cx.links.clock_ns());
        let running = self.cx.state.scripting.running.get_or_insert_with(|| {
            let name = argv.get(1).unwrap_or_default().to_vec();
            Box::new(Running {
                kind,
                name,
                command: argv.into(),
                began_ns,
                wrote,
                stop: None,
                reported: false,
            })
        });
        running.wrote = wrote;
        if !std::mem::replace(&mut running.reported, true) {
            log::warn!(
                "Slow script detected: still in execution after {} milliseconds. You can try killing the script using \
                 the {} KILL command. Script name is: {}.",
                now_ns.saturating_sub(began_ns) / 1_000_000,
                kind.name(),
                crate::args::text(&running.name),
            );
        }
        let stops = self.cx.serve_beside();
        match self.cx.state.scripting.running.as_ref().and_then(|running| running.stop) {
            Some(reason) => {
                log::info!("Lua script killed by user with {} KILL.", kind.name());
                Verdict::Stop(reason)
            }
            None if stops => Verdict::Stop("Script ended because the server stops."),
            None => Verdict::Continue,
        }
    }
}

impl Drop for ScriptHost<'_, '_> {
    fn drop(&mut self) {
        let scripting = &mut self.cx.state.scripting;
        scripting.running = None;
        scripting.scratch = (std::mem::take(&mut self.words), std::mem::take(&mut self.reply));
    }
}

impl Host for ScriptHost<'_, '_> {
    fn word(&mut self, bytes: &[u8]) {
        self.words.push(bytes);
    }

    fn number(&mut self, value: f64) {
        if value.is_nan() && value.is_sign_negative() {
            return self.words.push(b"-nan");
        }
        self.words.push(&number::format_double(value));
    }

    fn drop_words(&mut self) {
        self.words.clear();
    }

    fn call(&mut self, protocol: carnelian_scripting::Protocol, read: &mut dyn FnMut(&[u8])) {
        self.reply.set_protocol(match protocol {
            carnelian_scripting::Protocol::Resp2 => Protocol::Resp2,
            carnelian_scripting::Protocol::Resp3 => Protocol::Resp3,
        });
        match self.cx.find_for_script(self.words.as_argv(), self.may_write) {
            Ok((id, row)) => {
                self.wrote |= row.flags.contains(Flags::WRITE);
                self.cx.call_from_script(id, self.words.as_argv(), &mut self.reply);
            }
            Err(error) => {
                let text = error.reply();
                self.cx.state.stats.count_error(&text);
                self.reply.error(&text);
            }
        }
        match self.reply.as_slice() {
            Some(bytes) => read(bytes),
            None => read(&self.reply.to_vec()),
        }
        self.reply.clear();
        self.words.clear();
    }

    fn is_permitted(&mut self) -> Option<bool> {
        let known = self.cx.knows(self.words.as_argv());
        self.words.clear();
        // Without access control lists every user may do everything.
        known.then_some(true)
    }

    fn log(&mut self, level: LogLevel, text: &[u8]) {
        log_line(level, text);
    }

    /// Effects are one stream: what a script keeps from the log is kept from everybody.
    fn set_replication(&mut self, replication: Replication) {
        self.cx.state.effects.set_muted(!replication.aof);
    }

    fn tick(&mut self) -> Verdict {
        let spent = self.cx.links.clock_ns().saturating_sub(self.began_ns);
        if self.loads {
            return if spent > LOAD_LIMIT_NS {
                Verdict::Stop("FUNCTION LOAD timeout")
            } else {
                Verdict::Continue
            };
        }
        let threshold = self.cx.state.config.size(BUSY_THRESHOLD);
        if threshold == 0 || spent / 1_000_000 < threshold {
            return Verdict::Continue;
        }
        self.serve_others()
    }
}

/// Writes a line of a script to the server's log.
pub(crate) fn log_line(level: LogLevel, text: &[u8]) {
    let level = match level {
        LogLevel::Debug => log::Level::Trace,
        LogLevel::Verbose => log::Level::Debug,
        LogLevel::Notice => log::Level::Info,
        LogLevel::Warning => log::Level::Warn,
    };
    log::log!(level, "{}", crate::args::text(text));
}

/// Takes the result of a script.
pub(super) struct ScriptReply<'a> {
    out: &'a mut ReplyBuf,
    stats: &'a mut Stats,
}

impl ScriptReply<'_> {
    /// Replies what a script has come to.
    pub(super) fn take(cx: &mut Ctx<'_>, finished: Finished<'_>) -> Result<(), Error> {
        let replied = finished.reply(&mut ScriptReply { out: cx.out, stats: &mut cx.state.stats });
        replied.map_err(|failed| match failed.count {
            true => Error::Bytes(failed.text.into()),
            false => Error::Counted(failed.text.into()),
        })
    }
}

impl Reply for ScriptReply<'_> {
    fn null(&mut self) {
        self.out.null();
    }

    fn boolean(&mut self, value: bool) {
        self.out.boolean(value);
    }

    fn integer(&mut self, value: i64) {
        self.out.integer(value);
    }

    fn double(&mut self, value: f64) {
        self.out.double(value);
    }

    fn bulk(&mut self, bytes: &[u8]) {
        self.out.bulk(bytes);
    }

    fn status(&mut self, text: &[u8]) {
        self.out.status(text);
    }

    fn big_number(&mut self, digits: &[u8]) {
        self.out.big_number_bytes(digits);
    }

    fn verbatim(&mut self, format: [u8; 3], text: &[u8]) {
        self.out.verbatim_bytes(&format, text);
    }

    fn array(&mut self, len: usize) {
        self.out.array(len);
    }

    fn map(&mut self, pairs: usize) {
        self.out.map(pairs);
    }

    fn set(&mut self, len: usize) {
        self.out.set(len);
    }

    fn error(&mut self, text: &[u8], count: bool) {
        if count {
            self.stats.count_script_error(text);
        }
        self.out.error(text);
    }
}
