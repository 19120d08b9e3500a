//! MEMORY: what takes how many bytes.

use carnelian_keyspace::Keyspace;

use crate::args::{Rest, is};
use crate::context::Ctx;
use crate::error::Error;
use crate::help;
use crate::row::{Flags, Group, KeyFlags, KeySpec, Row};

/// Below this many bytes there is nothing to say about the use of memory.
const DOCTOR_MINIMUM: u64 = 5 * 1024 * 1024;

pub(crate) static ROWS: &[Row] = &[Row {
    name: "memory",
    summary: "Commands about memory.",
    since: "4.0.0",
    group: Group::Server,
    arity: -2,
    complexity: "Depends on subcommand",
    subcommands: SUBCOMMANDS,
    ..Row::EMPTY
}];

static SUBCOMMANDS: &[Row] = &[
    Row {
        name: "doctor",
        summary: "Reports what is unusual about the use of memory.",
        since: "4.0.0",
        group: Group::Server,
        arity: 2,
        complexity: "O(1)",
        tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
        run: doctor,
        ..Row::EMPTY
    },
    Row {
        name: "help",
        summary: "Lists the subcommands.",
        since: "4.0.0",
        group: Group::Server,
        arity: 2,
        flags: Flags::HELPING,
        complexity: "O(1)",
        run: help::help,
        ..Row::EMPTY
    },
    Row {
        name: "malloc-stats",
        summary: "Answers the allocator's report.",
        since: "4.0.0",
        group: Group::Server,
        arity: 2,
        complexity: "Depends on how much memory is allocated, could be slow",
        tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
        run: malloc_stats,
        ..Row::EMPTY
    },
    Row {
        name: "purge",
        summary: "Gives free memory back to the system.",
        since: "4.0.0",
        group: Group::Server,
        arity: 2,
        complexity: "Depends on how much memory is allocated, could be slow",
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        run: purge,
        ..Row::EMPTY
    },
    Row {
        name: "stats",
        summary: "Breaks down the use of memory.",
        since: "4.0.0",
        group: Group::Server,
        arity: 2,
        complexity: "O(1)",
        tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
        run: stats,
        ..Row::EMPTY
    },
    Row {
        name: "usage",
        summary: "Estimates the bytes that a key takes.",
        since: "4.0.0",
        group: Group::Server,
        arity: -3,
        flags: Flags::READONLY,
        keys: &[KeySpec::one(2, KeyFlags::RO)],
        syntax: "key [SAMPLES count]",
        complexity: "O(N) where N is the number of samples",
        run: usage,
        ..Row::EMPTY
    },
];

/// Where memory is, in bytes.
pub(super) struct Breakdown {
    /// What the general allocator and the keyspace's pages hand out.
    pub(super) used: u64,
    /// The most there ever was of it.
    pub(super) peak: u64,
    /// What there was of it before the first command.
    pub(super) startup: u64,
    /// What is not data: tables and clients, besides what there was at the start.
    pub(super) overhead: u64,
    /// What is.
    pub(super) dataset: u64,
    /// Clients' buffers.
    pub(super) clients: u64,
    /// Pages in which something is used.
    pub(super) active: u64,
    /// Pages that the allocators hold.
    pub(super) resident: u64,
    /// What the system has given to the process.
    pub(super) rss: u64,
    /// Keys in all databases.
    pub(super) keys: u64,
}

impl Breakdown {
    pub(super) fn of(cx: &mut Ctx<'_>) -> Breakdown {
        let (process, totals) = (cx.links.process(), cx.links.totals());
        // The keyspace's pages come straight from the system, everything else from the general allocator.
        let pages = cx.keyspace.memory();
        let used = process.allocated + pages.used as u64;
        let now_ms = cx.now_ms();
        cx.state.stats.note_memory(used, now_ms);
        let startup = cx.state.startup_memory.min(used);
        let overhead = startup + totals.memory + pages.tables as u64;
        Breakdown {
            used,
            peak: cx.state.stats.peak_memory,
            startup,
            overhead: overhead.min(used),
            dataset: used.saturating_sub(overhead),
            clients: totals.memory,
            active: process.allocator_active + pages.held as u64,
            resident: process.allocator_resident + pages.held as u64,
            rss: process.rss,
            keys: keys(cx.keyspace),
        }
    }

    /// The dataset's share of what came after the start, in percent.
    pub(super) fn dataset_percent(&self) -> f64 {
        percent(self.dataset, self.used - self.startup)
    }

    /// The present use as a share of the peak, in percent.
    pub(super) fn peak_percent(&self) -> f64 {
        percent(self.used, self.peak)
    }

    /// Bytes from the system per byte in use.
    pub(super) fn fragmentation(&self) -> f64 {
        if self.used == 0 { 0.0 } else { self.rss as f64 / self.used as f64 }
    }
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

fn keys(keyspace: &Keyspace) -> u64 {
    (0..keyspace.databases()).map(|db| keyspace.len(db) as u64).sum()
}

fn doctor(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let memory = Breakdown::of(cx);
    let mut report = String::new();
    if memory.used < DOCTOR_MINIMUM {
        report.push_str("There is too little data for a diagnosis: under 5 MB are in use.\n");
    } else {
        if memory.peak as f64 > memory.used as f64 * 1.5 {
            report.push_str("The peak was more than half as much again as the present use; freed memory may stay with the process.\n");
        }
        if memory.fragmentation() > 1.4 && memory.rss - memory.used > 10 << 20 {
            report.push_str(
                "The process holds over 40 % more than it uses. MEMORY PURGE gives free memory back.\n",
            );
        }
        if report.is_empty() {
            report.push_str("Nothing is unusual about the use of memory.\n");
        }
    }
    cx.out.verbatim("txt", report.as_bytes());
    Ok(())
}

fn malloc_stats(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let (process, allocator) = (cx.links.process(), cx.links.identity().allocator.clone());
    let keyspace = cx.keyspace.memory();
    let report = format!(
        "allocator: {allocator}\nallocated: {}\nresident: {}\n\
         keyspace blocks: {}\nkeyspace pages: {}\nkeyspace mapped: {}\n",
        process.allocated, process.rss, keyspace.used, keyspace.held, keyspace.mapped
    );
    cx.out.verbatim("txt", report.as_bytes());
    Ok(())
}

fn purge(cx: &mut Ctx<'_>) -> Result<(), Error> {
    cx.links.purge_memory();
    cx.out.ok();
    Ok(())
}

fn stats(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let memory = Breakdown::of(cx);
    let later = cx.out.map_later();
    let mut fields = 0;
    let scripts = cx.state.scripting.figures();
    let numbers = [
        ("peak.allocated", memory.peak),
        ("total.allocated", memory.used),
        ("startup.allocated", memory.startup),
        ("replication.backlog", 0),
        ("replica.fullsync.buffer", 0),
        ("clients.slaves", 0),
        ("clients.normal", memory.clients),
        ("cluster.links", 0),
        ("aof.buffer", 0),
        ("lua.caches", scripts.scripts),
        ("functions.caches", scripts.functions),
        ("script.VMs", scripts.vm_eval + scripts.vm_functions),
    ];
    fields += numbers.len();
    numbers.iter().for_each(|(name, value)| number(cx, name, *value));
    for db in (0..cx.keyspace.databases()).filter(|db| cx.keyspace.len(*db) > 0).collect::<Vec<_>>() {
        let (table, _) = cx.keyspace.table_memory(db);
        cx.out.bulk(format!("db.{db}").as_bytes());
        cx.out.map(2);
        number(cx, "overhead.hashtable.main", table as u64);
        number(cx, "overhead.hashtable.expires", 0);
        fields += 1;
    }
    let held = cx.keyspace.memory().held as u64;
    let per_key = memory.used.saturating_sub(memory.startup).checked_div(memory.keys).unwrap_or(0);
    let numbers = [
        ("overhead.db.hashtable.lut", cx.keyspace.memory().tables as u64),
        ("overhead.db.hashtable.rehashing", 0),
        ("overhead.total", memory.overhead),
        ("db.dict.rehashing.count", 0),
        ("keys.count", memory.keys),
        ("keys.bytes-per-key", per_key),
        ("dataset.bytes", memory.dataset),
    ];
    fields += numbers.len();
    numbers.iter().for_each(|(name, value)| number(cx, name, *value));
    ratio(cx, "dataset.percentage", memory.dataset_percent());
    ratio(cx, "peak.percentage", memory.peak_percent());
    let numbers = [
        ("allocator.allocated", memory.used),
        ("allocator.active", memory.used.max(held)),
        ("allocator.resident", memory.rss),
        ("allocator.muzzy", 0),
    ];
    fields += 2 + numbers.len();
    numbers.iter().for_each(|(name, value)| number(cx, name, *value));
    let excess = memory.rss.saturating_sub(memory.used);
    for (name, ratio_value, bytes) in [
        ("allocator-fragmentation", 1.0, 0),
        ("allocator-rss", memory.fragmentation(), excess),
        ("rss-overhead", 1.0, 0),
    ] {
        ratio(cx, &format!("{name}.ratio"), ratio_value);
        number(cx, &format!("{name}.bytes"), bytes);
        fields += 2;
    }
    ratio(cx, "fragmentation", memory.fragmentation());
    number(cx, "fragmentation.bytes", excess);
    cx.out.finish(later, fields + 2);
    Ok(())
}

fn number(cx: &mut Ctx<'_>, name: &str, value: u64) {
    cx.out.bulk(name.as_bytes());
    cx.out.integer(value as i64);
}

fn ratio(cx: &mut Ctx<'_>, name: &str, value: f64) {
    cx.out.bulk(name.as_bytes());
    cx.out.double(value);
}

fn usage(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let mut samples = 5;
    let mut rest = Rest::new(cx.argv, 3);
    while let Some(option) = rest.next() {
        if !is(option, "SAMPLES") {
            return Err(Error::Syntax);
        }
        samples = usize::try_from(rest.int()?).map_err(|_| Error::Syntax)?;
    }
    match cx.keyspace.peek(cx.db, cx.key(2)) {
        Some(item) => cx.out.integer(item.memory(samples) as i64),
        None => cx.out.null(),
    }
    Ok(())
}
