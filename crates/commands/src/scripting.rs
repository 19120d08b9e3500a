//! Scripts and functions: EVAL and its variants, FCALL, and what manages them (`script`, `function`). The interpreter is
//! `carnelian_scripting`; here is its host, through which scripts execute commands as clients do.

mod function;
pub(crate) mod host;
mod script;

use std::borrow::Cow;

use carnelian_config::{Config, Directive};
use carnelian_resp::{Argv, OwnedArgv, ReplyBuf, number};
use carnelian_scripting::{Digest, Functions, Refusal, ScriptFlags, ScriptId, Scripts, Versions, Words};

use crate::context::Ctx;
use crate::engine::REDIS_VERSION;
use crate::error::Error;
use crate::monitor;
use crate::row::{Acl, Flags, Group, KeyFlags, KeySpec, Row};

use host::{ScriptHost, ScriptReply};

pub(crate) static ROWS: &[Row] =
    &[EVAL, EVAL_RO, EVALSHA, EVALSHA_RO, FCALL, FCALL_RO, function::CONTAINER, script::CONTAINER];

/// Bytes that the state of scripts, and that of functions, may allocate.
const MEMORY_LIMIT: Directive = Directive::named("lua-memory-limit");
/// Milliseconds after which a script counts as slow, so that others are told that the server is busy.
const BUSY_THRESHOLD: Directive = Directive::named("busy-reply-threshold");

/// What runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// A script.
    Script,
    /// A function.
    Function,
}

impl Kind {
    /// The container of the commands that manage it.
    pub(crate) fn name(self) -> String {
        let container = match self {
            Kind::Script => script::CONTAINER,
            Kind::Function => function::CONTAINER,
        };
        container.name.to_uppercase()
    }
}

/// A script or function that is running.
pub(crate) struct Running {
    pub(crate) kind: Kind,
    /// The name of the function.
    pub(crate) name: Vec<u8>,
    /// The command that runs it.
    pub(crate) command: OwnedArgv,
    /// When it began, on the monotonic clock.
    pub(crate) began_ns: u64,
    /// Whether it has written.
    pub(crate) wrote: bool,
    /// Why it is to end.
    pub(crate) stop: Option<&'static str>,
    /// Whether the log says that it is slow.
    reported: bool,
}

/// What the engine keeps of scripts and functions.
pub(crate) struct Scripting {
    /// Absent while one of them runs.
    scripts: Option<Box<Scripts>>,
    /// Absent while one of them runs.
    functions: Option<Box<Functions>>,
    /// What has run so long that others are served beside it.
    pub(crate) running: Option<Box<Running>>,
    /// Libraries and functions, as they were when the one that runs began.
    counted: (usize, usize),
    /// Reused by every command of a script.
    scratch: (OwnedArgv, ReplyBuf),
}

impl Scripting {
    pub(crate) fn new(config: &Config) -> Scripting {
        let versions = Versions { redis: REDIS_VERSION.to_owned() };
        let limit = memory_limit(config);
        Scripting {
            scripts: Some(Box::new(Scripts::new(&versions, limit))),
            functions: Some(Box::new(Functions::new(&versions, limit))),
            running: None,
            counted: (0, 0),
            scratch: (OwnedArgv::new(), ReplyBuf::new()),
        }
    }

    /// Takes over a changed configuration.
    pub(crate) fn reload(&mut self, config: &Config) {
        let limit = memory_limit(config);
        if let Some(scripts) = &mut self.scripts {
            scripts.set_memory_limit(limit);
        }
        if let Some(functions) = &mut self.functions {
            functions.set_memory_limit(limit);
        }
    }

    /// Whether a script or a function runs.
    pub(crate) fn is_active(&self) -> bool {
        self.scripts.is_none() || self.functions.is_none()
    }

    /// What CONFIG RESETSTAT resets.
    pub(crate) fn reset_stats(&mut self) {
        if let Some(scripts) = &mut self.scripts {
            scripts.reset_evicted();
        }
    }

    /// The scripts. No command needs them while one runs.
    pub(crate) fn scripts(&mut self) -> &mut Scripts {
        self.scripts.as_mut().expect("no script runs")
    }

    /// The functions, likewise.
    pub(crate) fn functions(&mut self) -> &mut Functions {
        self.functions.as_mut().expect("no function runs")
    }

    /// Whether what a command runs may write, if it says so itself.
    pub(crate) fn declares_writes(&self, row: &Row, argv: Argv<'_>) -> Option<bool> {
        let subject = argv.get(1)?;
        let flags = match row.name {
            name if name == EVAL.name || name == EVAL_RO.name => ScriptFlags::of_script(subject)?,
            name if name == EVALSHA.name || name == EVALSHA_RO.name => {
                let scripts = self.scripts.as_ref()?;
                scripts.flags(scripts.find(subject)?)
            }
            name if name == FCALL.name || name == FCALL_RO.name => self.functions.as_ref()?.flags(subject)?,
            _ => return None,
        };
        (!flags.contains(ScriptFlags::UNDECLARED)).then(|| !flags.contains(ScriptFlags::NO_WRITES))
    }

    /// Number of libraries and of functions.
    fn count(&self) -> (usize, usize) {
        match &self.functions {
            Some(functions) => (functions.libraries().len(), functions.len()),
            None => self.counted,
        }
    }

    /// What INFO shows. A script that asks sees nothing of those in its own state.
    pub(crate) fn figures(&self) -> Figures {
        let mut figures = Figures::default();
        if let Some(scripts) = &self.scripts {
            figures.vm_eval = scripts.vm_memory() as u64;
            figures.scripts = scripts.memory() as u64;
            figures.cached = scripts.len();
            figures.evicted = scripts.evicted();
        }
        if let Some(functions) = &self.functions {
            figures.vm_functions = functions.vm_memory() as u64;
            figures.functions = functions.memory() as u64;
            figures.function_count = functions.len();
            figures.library_count = functions.libraries().len();
        }
        figures
    }
}

/// What INFO shows of scripts and functions. Memory in bytes.
#[derive(Default)]
pub(crate) struct Figures {
    pub(crate) vm_eval: u64,
    pub(crate) vm_functions: u64,
    pub(crate) scripts: u64,
    pub(crate) functions: u64,
    pub(crate) cached: usize,
    pub(crate) function_count: usize,
    pub(crate) library_count: usize,
    pub(crate) evicted: u64,
}

fn memory_limit(config: &Config) -> usize {
    match usize::try_from(config.size(MEMORY_LIMIT)) {
        Ok(0) | Err(_) => usize::MAX,
        Ok(limit) => limit,
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        Error::Bytes([b"ERR ", &refusal.0[..]].concat().into())
    }
}

/// What the commands that run scripts and functions have in common.
const BASE: Row = Row {
    group: Group::Scripting,
    arity: -3,
    flags: Flags::NOSCRIPT
        .union(Flags::STALE)
        .union(Flags::SKIP_MONITOR)
        .union(Flags::NO_MANDATORY_KEYS)
        .union(Flags::MOVABLEKEYS),
    acl: Acl::SCRIPTING,
    keys: &[KeySpec::counted(2, 1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE))],
    complexity: "Depends on what is run.",
    ..Row::EMPTY
};

/// The same for those that must not write.
const READ_ONLY: Row = Row {
    flags: BASE.flags.union(Flags::READONLY),
    keys: &[KeySpec::counted(2, 1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    since: "7.0.0",
    ..BASE
};

const EVAL: Row = Row {
    name: "eval",
    summary: "Runs a Lua script.",
    since: "2.6.0",
    flags: BASE.flags.union(Flags::MAY_REPLICATE),
    syntax: "script numkeys:integer [key]... [arg]...",
    run: |cx| eval(cx, false),
    ..BASE
};

const EVAL_RO: Row = Row {
    name: "eval_ro",
    summary: "Runs a Lua script that must not write.",
    syntax: EVAL.syntax,
    run: |cx| eval(cx, true),
    ..READ_ONLY
};

const EVALSHA: Row = Row {
    name: "evalsha",
    summary: "Runs a Lua script that the server knows, by the SHA-1 digest of its text.",
    since: "2.6.0",
    flags: BASE.flags.union(Flags::MAY_REPLICATE),
    syntax: "sha1 numkeys:integer [key]... [arg]...",
    run: |cx| evalsha(cx, false),
    ..BASE
};

const EVALSHA_RO: Row = Row {
    name: "evalsha_ro",
    summary: "Runs a Lua script that the server knows and that must not write, by the SHA-1 digest of its text.",
    syntax: EVALSHA.syntax,
    run: |cx| evalsha(cx, true),
    ..READ_ONLY
};

const FCALL: Row = Row {
    name: "fcall",
    summary: "Runs a function of a library.",
    since: "7.0.0",
    flags: BASE.flags.union(Flags::MAY_REPLICATE),
    syntax: "function numkeys:integer [key]... [arg]...",
    run: |cx| fcall(cx, false),
    ..BASE
};

const FCALL_RO: Row = Row {
    name: "fcall_ro",
    summary: "Runs a function of a library that must not write.",
    syntax: FCALL.syntax,
    run: |cx| fcall(cx, true),
    ..READ_ONLY
};

fn eval(cx: &mut Ctx<'_>, read_only: bool) -> Result<(), Error> {
    announce(cx);
    let words = Call::new(cx.argv, args_int(cx.arg(2))?)?;
    let body = cx.arg(1);
    let id = cx.state.scripting.scripts().evaluate(body)?;
    run_script(cx, id, words, read_only)
}

const NO_SCRIPT: Error = Error::Text("NOSCRIPT No matching script. Please use EVAL.");

fn evalsha(cx: &mut Ctx<'_>, read_only: bool) -> Result<(), Error> {
    announce(cx);
    let digest = cx.arg(1);
    if digest.len() != size_of::<Digest>() {
        return Err(NO_SCRIPT);
    }
    let words = Call::new(cx.argv, args_int(cx.arg(2))?)?;
    let id = cx.state.scripting.scripts().find(digest).ok_or(NO_SCRIPT)?;
    run_script(cx, id, words, read_only)
}

fn fcall(cx: &mut Ctx<'_>, read_only: bool) -> Result<(), Error> {
    announce(cx);
    let name = cx.arg(1);
    let mut functions = cx.state.scripting.functions.take().expect("no function runs");
    cx.state.scripting.counted = (functions.libraries().len(), functions.len());
    let result = match (functions.flags(name), number::parse_i64(cx.arg(2))) {
        (None, _) => Err(Error::Text("ERR Function not found")),
        (_, None) => Err(Error::Text("ERR Bad number of keys provided")),
        (Some(flags), Some(keys)) => Call::new(cx.argv, keys).and_then(|words| {
            let writes = may_write(flags, read_only)?;
            let finished = contained(cx, |cx| {
                functions.run(name, &words, &mut ScriptHost::new(cx, Kind::Function, writes))
            });
            ScriptReply::take(cx, finished)
        }),
    };
    cx.state.scripting.functions = Some(functions);
    result
}

fn run_script(cx: &mut Ctx<'_>, id: ScriptId, words: Call<'_>, read_only: bool) -> Result<(), Error> {
    let mut scripts = cx.state.scripting.scripts.take().expect("no script runs");
    let result = may_write(scripts.flags(id), read_only).and_then(|writes| {
        let finished =
            contained(cx, |cx| scripts.run(id, &words, &mut ScriptHost::new(cx, Kind::Script, writes)));
        ScriptReply::take(cx, finished)
    });
    cx.state.scripting.scripts = Some(scripts);
    result
}

/// Runs a script: which database it selects is its own affair, and what its commands change are its effects, which
/// belong together.
fn contained<R>(cx: &mut Ctx<'_>, run: impl FnOnce(&mut Ctx<'_>) -> R) -> R {
    let db = cx.client().db;
    // In a transaction they belong to that.
    let groups = cx.state.effects.is_on() && !cx.state.effects.is_in_group();
    if groups {
        cx.state.effects.begin_group();
    }
    let result = run(cx);
    cx.state.effects.set_muted(false);
    if groups {
        cx.state.effects.end_group();
    }
    cx.no_effect();
    cx.client().db = db;
    result
}

/// Whether a script may execute commands that write, or an error if it says that it does and must not.
fn may_write(flags: ScriptFlags, read_only: bool) -> Result<bool, Error> {
    let promised = flags.contains(ScriptFlags::NO_WRITES);
    if read_only && !promised && !flags.contains(ScriptFlags::UNDECLARED) {
        return Err(Error::Text("ERR Can not execute a script with write flag using *_ro command."));
    }
    Ok(!read_only && !promised)
}

fn args_int(arg: &[u8]) -> Result<i64, Error> {
    crate::args::int(arg)
}

/// Shows the command to monitoring clients, which is to be seen before those that its script executes.
fn announce(cx: &mut Ctx<'_>) {
    if cx.state.monitors.is_empty() {
        return;
    }
    let line = monitor::line(cx.state, cx.links, cx.client, cx.db, cx.now_us, cx.argv);
    monitor::send(cx.state, cx.links, cx.client, &line, cx.out);
}

/// The keys and arguments of a script: words of the command that runs it.
struct Call<'a> {
    argv: Argv<'a>,
    keys: usize,
}

/// Words before the keys: the command, what it runs, and the number of keys.
const HEAD: usize = 3;

impl<'a> Call<'a> {
    fn new(argv: Argv<'a>, keys: i64) -> Result<Call<'a>, Error> {
        match usize::try_from(keys) {
            Ok(keys) if keys <= argv.len() - HEAD => Ok(Call { argv, keys }),
            Ok(_) => Err(Error::Text("ERR Number of keys can't be greater than number of args")),
            Err(_) => Err(Error::Text("ERR Number of keys can't be negative")),
        }
    }
}

impl Words for Call<'_> {
    fn keys(&self) -> usize {
        self.keys
    }

    fn arguments(&self) -> usize {
        self.argv.len() - HEAD - self.keys
    }

    fn key(&self, i: usize) -> &[u8] {
        self.argv.arg(HEAD + i)
    }

    fn argument(&self, i: usize) -> &[u8] {
        self.argv.arg(HEAD + self.keys + i)
    }
}

/// Reads the option that says how FLUSH frees, if there is one; it makes no difference here.
fn check_flush(cx: &Ctx<'_>, error: &'static str) -> Result<(), Error> {
    use crate::args::is;
    match cx.argv.get(2) {
        None => Ok(()),
        Some(word) if cx.argv.len() == 3 && (is(word, "ASYNC") || is(word, "SYNC")) => Ok(()),
        Some(_) => Err(Error::Text(error)),
    }
}

/// The error for everyone else while a slow script runs.
pub(crate) fn busy(kind: Kind) -> Cow<'static, str> {
    format!("BUSY Redis is busy running a script. You can only call {} KILL or SHUTDOWN NOSAVE.", kind.name())
        .into()
}

/// Asks what runs to end, as SCRIPT KILL and FUNCTION KILL do.
fn kill(cx: &mut Ctx<'_>, kind: Kind) -> Result<(), Error> {
    let Some(running) = &mut cx.state.scripting.running else {
        return Err(Error::Text("NOTBUSY No scripts in execution right now."));
    };
    if running.kind != kind {
        return Err(Error::other(busy(running.kind).into_owned()));
    }
    if running.wrote {
        return Err(Error::Text(
            "UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the \
             script termination or kill the server in a hard way using the SHUTDOWN NOSAVE command.",
        ));
    }
    running.stop = Some(match kind {
        Kind::Script => "Script killed by user with SCRIPT KILL.",
        Kind::Function => "Script killed by user with FUNCTION KILL.",
    });
    cx.out.ok();
    Ok(())
}
