//! HyperLogLogs: strings that estimate how many different elements they have seen. The layout and the arithmetic are
//! the keyspace's ([`carnelian_keyspace::encoding::hll`]); any string may turn out to be none, or to be damaged.

use carnelian_config::Directive;
use carnelian_keyspace::encoding::Malformed;
use carnelian_keyspace::encoding::hll::{self, Form, Registers, Run, Sight};
use carnelian_keyspace::{Event, Item, Str, Write};

use crate::args::is;
use crate::context::Ctx;
use crate::error::Error;
use crate::row::{Acl, Flags, Group, KeyFlags, KeySpec, Row};
use crate::string::string;

pub(crate) static ROWS: &[Row] = &[PFADD, PFCOUNT, PFDEBUG, PFMERGE, PFSELFTEST];

/// What all rows of this group have in common.
const BASE: Row = Row { group: Group::HyperLogLog, acl: Acl::HYPERLOGLOG, ..Row::EMPTY };

const DAMAGED: Error = Error::Text("INVALIDOBJ Corrupted HLL object detected");
/// Most bytes by which one element makes runs longer.
const GROWTH: usize = 3;

/// The HyperLogLog that an item holds, and its form.
fn hyperloglog<'a>(item: &Item<'a>) -> Result<(&'a [u8], Form), Error> {
    let bytes = match string(item)? {
        Str::Bytes(bytes) => bytes,
        Str::Shared(blob) => blob,
        Str::Int(_) => b"",
    };
    let not_one = Error::Text("WRONGTYPE Key is not a valid HyperLogLog string value.");
    hll::form(bytes).map(|form| (bytes, form)).ok_or(not_one)
}

fn damaged(_: Malformed) -> Error {
    DAMAGED
}

/// The longest sparse HyperLogLog, in bytes.
fn sparse_max(cx: &Ctx<'_>) -> usize {
    const SPARSE_MAX: Directive = Directive::named("hll-sparse-max-bytes");
    usize::try_from(cx.state.config.size(SPARSE_MAX)).unwrap_or(usize::MAX)
}

/// Makes an absent key one that has seen nothing. Returns whether it was absent.
fn create(entry: &mut Write<'_>) -> bool {
    let is_new = !entry.exists();
    if is_new {
        entry.edit_bytes(hll::EMPTY.len(), |bytes| bytes.copy_from_slice(&hll::EMPTY));
    }
    is_new
}

const PFADD: Row = Row {
    name: "pfadd",
    summary: "Lets a HyperLogLog, which is created if absent, see elements; tells whether its registers changed.",
    since: "2.8.9",
    arity: -2,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::INSERT))],
    syntax: "key [element]...",
    complexity: "O(1) for each element.",
    run: pfadd,
    ..BASE
};

fn pfadd(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, sparse_max) = (cx.key(1), sparse_max(cx));
    let mut entry = cx.keyspace.write(cx.db, key);
    if let Some(item) = entry.item() {
        hyperloglog(&item)?;
    }
    let is_new = create(&mut entry);
    let sights = cx.argv.iter().skip(2).map(Sight::of);
    let (changes, outcome) = add_all(&mut entry, sights, sparse_max);
    let changes = changes + u64::from(is_new);
    match changes {
        0 => entry.unchanged(),
        changes => entry.commit_many(&[Event::string("pfadd")], changes),
    }
    outcome.map_err(damaged)?;
    cx.out.integer((changes > 0).into());
    Ok(())
}

/// Adds to the HyperLogLog of the entry and returns how many sights changed it; damage ends it. Nothing is written
/// before there is news, which a HyperLogLog that has seen a lot rarely gets.
fn add_all(
    entry: &mut Write<'_>,
    mut sights: impl ExactSizeIterator<Item = Sight>,
    sparse_max: usize,
) -> (u64, Result<(), Malformed>) {
    let item = entry.item().expect("the key has been created");
    let Ok((bytes, form)) = hyperloglog(&item) else { return (0, Err(Malformed)) };
    let news = loop {
        let Some(sight) = sights.next() else { return (0, Ok(())) };
        match hll::is_news(bytes, sight) {
            Ok(true) => break sight,
            Ok(false) => {}
            Err(error) => return (0, Err(error)),
        }
    };
    let room = (bytes.len() + GROWTH * (1 + sights.len())).min(sparse_max.max(bytes.len()));
    let sights = std::iter::once(news).chain(sights);
    match form {
        Form::Dense => {
            let changes = entry.edit_bytes(0, |b| sights.filter(|sight| hll::add_dense(b, *sight)).count());
            (changes as u64, Ok(()))
        }
        Form::Sparse => entry.edit_string(room, |bytes| {
            let mut changes = 0;
            for sight in sights {
                match hll::add(bytes, sight, sparse_max) {
                    Ok(changed) => changes += u64::from(changed),
                    Err(error) => return (changes, Err(error)),
                }
            }
            (changes, Ok(()))
        }),
    }
}

const PFCOUNT: Row = Row {
    name: "pfcount",
    summary: "Estimates how many different elements one or several HyperLogLogs have seen together.",
    since: "2.8.9",
    arity: -2,
    flags: Flags::READONLY.union(Flags::MAY_REPLICATE),
    keys: &[KeySpec::range(1, -1, 1, KeyFlags::RW.union(KeyFlags::ACCESS))],
    syntax: "key...",
    complexity: "O(1) for one key that has not changed since the last time, else O(N), N being the number of keys.",
    run: pfcount,
    ..BASE
};

fn pfcount(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let estimate = match cx.argv.len() {
        2 => estimate_of_one(cx)?,
        keys => {
            let mut all = Registers::default();
            for i in 1..keys {
                merge(cx, i, &mut all)?;
            }
            all.estimate()
        }
    };
    cx.out.integer(estimate.cast_signed());
    Ok(())
}

/// Estimates from the first key alone, which keeps the estimate for the next time.
fn estimate_of_one(cx: &mut Ctx<'_>) -> Result<u64, Error> {
    let key = cx.key(1);
    let Some(item) = cx.keyspace.read(cx.db, key) else { return Ok(0) };
    let (bytes, _) = hyperloglog(&item)?;
    if let Some(estimate) = hll::cached_estimate(bytes) {
        return Ok(estimate);
    }
    let estimate = hll::estimate(bytes).map_err(damaged)?;
    let mut entry = cx.keyspace.write(cx.db, key);
    entry.edit_bytes(0, |bytes| hll::cache_estimate(bytes, estimate));
    entry.commit(&[]);
    Ok(estimate)
}

/// Raises registers to those of the key at argument `i`. Returns its form if it exists.
fn merge(cx: &mut Ctx<'_>, i: usize, all: &mut Registers) -> Result<Option<Form>, Error> {
    let key = cx.key(i);
    let Some(item) = cx.keyspace.read(cx.db, key) else { return Ok(None) };
    let (bytes, form) = hyperloglog(&item)?;
    all.merge(bytes).map_err(damaged)?;
    Ok(Some(form))
}

const PFMERGE: Row = Row {
    name: "pfmerge",
    summary: "Lets a HyperLogLog, which is created if absent, see what others have seen.",
    since: "2.8.9",
    arity: -2,
    flags: Flags::WRITE.union(Flags::DENYOOM),
    keys: &[
        KeySpec::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::INSERT)),
        KeySpec::range(2, -1, 1, KeyFlags::RO.union(KeyFlags::ACCESS)),
    ],
    syntax: "destkey:key [sourcekey:key]...",
    complexity: "O(N), N being the number of keys, with a large constant.",
    run: pfmerge,
    ..BASE
};

fn pfmerge(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let (mut all, mut any_dense) = (Registers::default(), false);
    for i in 1..cx.argv.len() {
        any_dense |= merge(cx, i, &mut all)? == Some(Form::Dense);
    }
    let (key, sparse_max) = (cx.key(1), sparse_max(cx));
    let mut entry = cx.keyspace.write(cx.db, key);
    create(&mut entry);
    let stored = entry.edit_string(hll::EMPTY.len(), |bytes| {
        if any_dense && hll::form(bytes) == Some(Form::Sparse) {
            hll::make_dense(bytes)?;
        }
        all.store(bytes, sparse_max)
    });
    entry.commit(&[Event::string("pfadd")]);
    stored.map_err(damaged)?;
    cx.out.ok();
    Ok(())
}

const PFDEBUG: Row = Row {
    name: "pfdebug",
    summary: "Shows the inside of a HyperLogLog, for debugging.",
    since: "2.8.9",
    arity: 3,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::ADMIN),
    keys: &[KeySpec::one(2, KeyFlags::RW.union(KeyFlags::ACCESS))],
    syntax: "subcommand key",
    complexity: "O(1): a HyperLogLog has 16,384 registers.",
    run: pfdebug,
    ..BASE
};

fn pfdebug(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let word = cx.arg(1);
    if is(word, "SIMD") {
        return simd(cx);
    }
    let key = cx.key(2);
    let entry = cx.keyspace.write(cx.db, key);
    let item = entry.item().ok_or(Error::Text("ERR The specified key does not exist"))?;
    let (bytes, form) = hyperloglog(&item)?;
    match () {
        () if is(word, "GETREG") => {
            let mut registers = Registers::default();
            registers.merge(bytes).map_err(damaged)?;
            if form == Form::Sparse {
                make_dense(entry)?;
            }
            cx.out.array(hll::REGISTERS);
            registers.values().iter().for_each(|value| cx.out.integer((*value).into()));
        }
        () if is(word, "DECODE") => match form {
            Form::Sparse => cx.out.bulk(spelled(bytes).map_err(damaged)?.as_bytes()),
            Form::Dense => return Err(Error::Text("ERR HLL encoding is not sparse")),
        },
        () if is(word, "ENCODING") => cx.out.simple(form.name()),
        () if is(word, "TODENSE") => {
            if form == Form::Sparse {
                make_dense(entry)?;
            }
            cx.out.integer((form == Form::Sparse).into());
        }
        () => return Err(Error::quoting(b"ERR Unknown PFDEBUG subcommand '", word, b"'")),
    }
    Ok(())
}

/// The peers can be told to do without vector instructions. Here the compiler chose what there is, for good, so the
/// answer is a courtesy to tests that try both ways.
fn simd(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let word = cx.arg(2);
    match () {
        () if is(word, "ON") => cx.out.simple("enabled"),
        () if is(word, "OFF") => cx.out.simple("disabled"),
        () => return Err(Error::Text("ERR Argument must be ON or OFF")),
    }
    Ok(())
}

fn make_dense(mut entry: Write<'_>) -> Result<(), Error> {
    let outcome = entry.edit_string(hll::DENSE_LEN, hll::make_dense);
    match outcome {
        Ok(()) => entry.commit(&[]),
        Err(_) => entry.unchanged(),
    }
    outcome.map_err(damaged)
}

/// The runs as text: `z:length` for zeros in one byte, `Z:length` in two, `v:value,length` for others.
fn spelled(bytes: &[u8]) -> Result<String, Malformed> {
    let runs: Result<Vec<String>, Malformed> = hll::runs(bytes)
        .map(|run| {
            Ok(match run? {
                Run::Zeros(len) => format!("z:{len}"),
                Run::LongZeros(len) => format!("Z:{len}"),
                Run::Equal(value, len) => format!("v:{value},{len}"),
            })
        })
        .collect();
    Ok(runs?.join(" "))
}

const PFSELFTEST: Row = Row {
    name: "pfselftest",
    summary: "Tests the forms of HyperLogLogs against each other, and their estimates.",
    since: "2.8.9",
    arity: 1,
    flags: Flags::ADMIN,
    complexity: "O(1), but it takes a while.",
    run: pfselftest,
    ..BASE
};

fn pfselftest(cx: &mut Ctx<'_>) -> Result<(), Error> {
    self_test(sparse_max(cx)).map_err(Error::other)?;
    cx.out.ok();
    Ok(())
}

/// Shows numbers to both forms and compares registers and estimates at every power of two.
fn self_test(sparse_max: usize) -> Result<(), String> {
    const ELEMENTS: u64 = 1 << 18;
    /// Four standard deviations, which are 1.04 divided by the square root of the number of registers.
    const TOLERANCE: f64 = 4.0 * 1.04 / 128.0;
    let (mut bytes, mut registers) = (hll::EMPTY.to_vec(), Registers::default());
    for n in 1..=ELEMENTS {
        let sight = Sight::of(&n.to_le_bytes());
        registers.add(sight);
        hll::add(&mut bytes, sight, sparse_max).map_err(|_| "TESTFAILED Runs are damaged".to_owned())?;
        if n.is_power_of_two() {
            let mut stored = Registers::default();
            let same = stored.merge(&bytes).is_ok() && stored.values() == registers.values();
            if !same {
                return Err(format!("TESTFAILED Registers differ after {n} elements"));
            }
            let estimate = registers.estimate();
            if estimate.abs_diff(n) as f64 > TOLERANCE * n as f64 {
                return Err(format!("TESTFAILED Too high error: {estimate} for {n}"));
            }
        }
    }
    Ok(())
}
