//! Values: parsing, checking and printing, by the kind of the directive.

use crate::table::{Kind, Row, Unit};
use crate::text::quoted;

const MAX_BIND_ADDRESSES: usize = 16;
const OUTPUT_CLASSES: usize = 3;

/// The value of one directive.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `yes` or `no`.
    Bool(bool),
    /// Index of the word in the row.
    Word(usize),
    /// Bit `i` is set for word `i` of the row; 0 is word 0.
    Words(u32),
    /// A number; percentages are negative.
    Number(i128),
    /// A text.
    Text(Vec<u8>),
    /// Save points.
    Save(Vec<SavePoint>),
    /// Limits by class: normal, replica, pubsub.
    OutputLimits([OutputLimit; OUTPUT_CLASSES]),
    /// OOM scores: primary, replica, child.
    OomScores([i32; 3]),
    /// Event classes.
    KeyspaceEvents(KeyspaceEvents),
    /// Addresses as they were written.
    Bind(Vec<Vec<u8>>),
    /// Host and port of the primary.
    ReplicaOf(Option<(Vec<u8>, u16)>),
    /// Percentiles, from 0 to 100.
    Percentiles(Vec<f64>),
}

/// A condition on which a snapshot is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavePoint {
    /// So many seconds after the last one.
    pub seconds: i64,
    /// If there were at least so many changes.
    pub changes: i64,
}

/// A class of clients with its own output buffer limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientClass {
    /// Ordinary clients.
    Normal = 0,
    /// Replicas.
    Replica = 1,
    /// Subscribers.
    PubSub = 2,
}

impl ClientClass {
    fn named(name: &[u8]) -> Option<Self> {
        match name.to_ascii_lowercase().as_slice() {
            b"normal" => Some(ClientClass::Normal),
            b"replica" | b"slave" => Some(ClientClass::Replica),
            b"pubsub" => Some(ClientClass::PubSub),
            _ => None,
        }
    }
}

/// When a client that does not read is closed. Zero means no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputLimit {
    /// Bytes at which it is closed at once.
    pub hard: u64,
    /// Bytes at which it is closed if it stays above them for `soft_seconds`.
    pub soft: u64,
    /// Seconds above the soft limit.
    pub soft_seconds: u64,
}

/// The set of event classes of `notify-keyspace-events`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyspaceEvents(u32);

impl KeyspaceEvents {
    /// Class letters in the order in which they are printed. The first ten are what `A` stands for.
    const LETTERS: &'static [u8] = b"g$lshzxetdnocKEm";
    const ALL: u32 = (1 << 10) - 1;

    /// Whether the class with this letter is on.
    ///
    /// # Panics
    /// If there is no such class.
    pub fn has(self, letter: u8) -> bool {
        let bit = Self::LETTERS.iter().position(|&l| l == letter).expect("a letter of an event class");
        self.0 & (1 << bit) != 0
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let mut bits = 0;
        for letter in text {
            bits |= match letter {
                b'A' => Self::ALL,
                _ => 1 << Self::LETTERS.iter().position(|l| l == letter)?,
            };
        }
        Some(KeyspaceEvents(bits))
    }

    /// Every letter that is on, with `A` for those it stands for.
    fn letters(self) -> String {
        let all = self.0 & Self::ALL == Self::ALL;
        let shown = if all { self.0 & !Self::ALL } else { self.0 };
        let letters = Self::LETTERS.iter().enumerate().filter(|(bit, _)| shown & (1 << bit) != 0);
        all.then_some('A').into_iter().chain(letters.map(|(_, &letter)| letter as char)).collect()
    }

    /// As CONFIG GET prints it: `n`, `o` and `c` are not shown beside `A`.
    fn print(self) -> String {
        let letters = self.letters();
        if letters.starts_with('A') { letters.replace(['n', 'o', 'c'], "") } else { letters }
    }
}

/// What `shutdown-on-sigterm` and `shutdown-on-sigint` ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShutdownFlags {
    /// Save even if there are no save points.
    pub save: bool,
    /// Do not save.
    pub nosave: bool,
    /// Do not wait for replicas.
    pub now: bool,
    /// Exit even if saving fails.
    pub force: bool,
    /// Wait for a moment at which nothing is lost.
    pub safe: bool,
    /// Hand over to a replica first.
    pub failover: bool,
}

impl ShutdownFlags {
    pub(crate) fn from_bits(bits: u32) -> Self {
        let has = |bit: u32| bits & (1 << bit) != 0;
        ShutdownFlags {
            save: has(1),
            nosave: has(2),
            now: has(3),
            force: has(4),
            safe: has(5),
            failover: has(6),
        }
    }
}

impl Value {
    /// Parses the arguments of a directive. `old` is the current value: `client-output-buffer-limit` changes only the
    /// classes it names.
    pub(crate) fn parse(row: &Row, args: &[&[u8]], old: &Value) -> Result<Value, String> {
        match row.kind {
            Kind::FlagSet(words) => return parse_flags(words, args),
            Kind::Save => return parse_save(args),
            Kind::OutputLimits => return parse_output_limits(args, old),
            Kind::OomScores => return parse_oom_scores(args),
            Kind::Bind => return parse_bind(args),
            Kind::ReplicaOf => return parse_replicaof(args),
            Kind::Percentiles => return parse_percentiles(args),
            _ => {}
        }
        let &[arg] = args else { return Err("wrong number of arguments".into()) };
        match row.kind {
            Kind::Bool if arg.eq_ignore_ascii_case(b"yes") => Ok(Value::Bool(true)),
            Kind::Bool if arg.eq_ignore_ascii_case(b"no") => Ok(Value::Bool(false)),
            Kind::Bool => Err("argument must be 'yes' or 'no'".into()),
            Kind::OneOf { words, same } => {
                let word = find_word(words, arg)?;
                Ok(Value::Word(same.filter(|(second, _)| *second == word).map_or(word, |(_, first)| first)))
            }
            Kind::Number { min, max, unit, unsigned } => {
                let number = parse_number(arg, unit, min)?;
                check_range(number, min, max, unit, unsigned)?;
                Ok(Value::Number(row.clamp.map_or(number, |(low, high)| number.clamp(low, high))))
            }
            Kind::Text(check) => {
                check(arg)?;
                Ok(Value::Text(arg.to_vec()))
            }
            Kind::KeyspaceEvents => KeyspaceEvents::parse(arg)
                .map(Value::KeyspaceEvents)
                .ok_or_else(|| "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.".into()),
            _ => unreachable!("kinds with several arguments returned above"),
        }
    }

    /// The value of a row's default text.
    pub(crate) fn default_of(row: &Row) -> Value {
        let none = Value::OutputLimits([OutputLimit::default(); OUTPUT_CLASSES]);
        let value = match row.kind {
            Kind::ReplicaOf => Ok(Value::ReplicaOf(None)),
            kind if kind.is_multi_arg() => {
                Value::parse(row, &row.default.as_bytes().split(|&c| c == b' ').collect::<Vec<_>>(), &none)
            }
            _ => Value::parse(row, &[row.default.as_bytes()], &none),
        };
        value.unwrap_or_else(|error| panic!("default of {}: {error}", row.name))
    }

    /// As CONFIG GET prints it.
    pub(crate) fn print(&self, row: &Row) -> Vec<u8> {
        match self {
            Value::Text(text) => text.clone(),
            Value::Bind(addresses) => addresses.join(&b' '),
            Value::ReplicaOf(Some((host, port))) => [host, format!(" {port}").as_bytes()].concat(),
            _ => self.print_text(row).into_bytes(),
        }
    }

    fn print_text(&self, row: &Row) -> String {
        match self {
            Value::Bool(yes) => if *yes { "yes" } else { "no" }.into(),
            Value::Word(word) => words_of(row)[*word].into(),
            Value::Words(0) => words_of(row)[0].into(),
            Value::Words(bits) => {
                let set = words_of(row).iter().enumerate().filter(|(bit, _)| bits & (1 << bit) != 0);
                join(set.map(|(_, word)| word.to_string()))
            }
            Value::Number(number) => match row.kind {
                Kind::Number { unit: Unit::Octal, .. } => format!("{number:o}"),
                Kind::Number { unit: Unit::MemoryOrPercent, .. } if *number < 0 => format!("{}%", -number),
                _ => number.to_string(),
            },
            Value::Save(points) => join(points.iter().map(|p| format!("{} {}", p.seconds, p.changes))),
            Value::OutputLimits(limits) => join(
                ["normal", "slave", "pubsub"]
                    .iter()
                    .zip(limits)
                    .map(|(name, l)| format!("{name} {} {} {}", l.hard, l.soft, l.soft_seconds)),
            ),
            Value::OomScores(scores) => join(scores.iter().map(i32::to_string)),
            Value::KeyspaceEvents(events) => events.print(),
            Value::Percentiles(percentiles) => join(percentiles.iter().map(f64::to_string)),
            Value::ReplicaOf(_) => String::new(),
            Value::Text(_) | Value::Bind(_) => unreachable!("printed as bytes"),
        }
    }

    /// The lines that CONFIG REWRITE writes for it. `default` tells which client classes need a line.
    pub(crate) fn lines(&self, row: &Row, default: &Value) -> Vec<Vec<u8>> {
        let line = |text: &[u8]| [row.name.as_bytes(), b" ", text].concat();
        match (self, default) {
            (Value::Text(text), _) => vec![line(&quoted(text))],
            (Value::KeyspaceEvents(events), _) => vec![line(&quoted(events.letters().as_bytes()))],
            (Value::Number(number), _) if *number >= 0 && is_memory(row) => {
                vec![line(print_memory(*number).as_bytes())]
            }
            (Value::Save(points), _) if !points.is_empty() => {
                points.iter().map(|p| line(format!("{} {}", p.seconds, p.changes).as_bytes())).collect()
            }
            (Value::Bind(addresses), _) if addresses.iter().all(|a| is_plain(a)) && !addresses.is_empty() => {
                vec![line(&self.print(row))]
            }
            (Value::Bind(addresses), _) if !addresses.is_empty() => {
                vec![line(&addresses.iter().map(|a| quoted(a)).collect::<Vec<_>>().join(&b' '))]
            }
            (Value::ReplicaOf(Some((host, port))), _) => {
                let host = if is_plain(host) { host.clone() } else { quoted(host) };
                vec![line(&[&host, format!(" {port}").as_bytes()].concat())]
            }
            (Value::ReplicaOf(None), _) => Vec::new(),
            (Value::OutputLimits(limits), Value::OutputLimits(defaults)) => {
                output_limit_lines(row.name, limits, defaults)
            }
            _ => {
                let text = self.print(row);
                vec![line(if text.is_empty() { b"\"\"" } else { &text })]
            }
        }
    }
}

fn output_limit_lines(name: &str, limits: &[OutputLimit; 3], defaults: &[OutputLimit; 3]) -> Vec<Vec<u8>> {
    let all_default = limits == defaults;
    ["normal", "replica", "pubsub"]
        .iter()
        .zip(limits.iter().zip(defaults))
        .filter(|(_, (limit, default))| all_default || limit != default)
        .map(|(class, (limit, _))| {
            let (hard, soft) = (print_memory(limit.hard.into()), print_memory(limit.soft.into()));
            format!("{name} {class} {hard} {soft} {}", limit.soft_seconds).into_bytes()
        })
        .collect()
}

fn is_plain(word: &[u8]) -> bool {
    !word.is_empty() && word.iter().all(|c| c.is_ascii_graphic() && !matches!(c, b'"' | b'\''))
}

fn is_memory(row: &Row) -> bool {
    matches!(row.kind, Kind::Number { unit: Unit::Memory | Unit::MemoryOrPercent, .. })
}

fn join(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(" ")
}

fn words_of(row: &Row) -> &'static [&'static str] {
    match row.kind {
        Kind::OneOf { words, .. } | Kind::FlagSet(words) => words,
        _ => unreachable!("word values belong to kinds with words"),
    }
}

fn find_word(words: &[&str], arg: &[u8]) -> Result<usize, String> {
    words
        .iter()
        .position(|word| word.as_bytes().eq_ignore_ascii_case(arg))
        .ok_or_else(|| format!("argument(s) must be one of the following: {}", words.join(", ")))
}

fn parse_flags(words: &'static [&'static str], args: &[&[u8]]) -> Result<Value, String> {
    let mut bits = 0;
    for arg in args {
        let word = find_word(words, arg)?;
        bits |= if word == 0 { 0 } else { 1 << word };
    }
    let flags = ShutdownFlags::from_bits(bits);
    if args.is_empty() {
        return Err(find_word(words, b"").expect_err("the empty text is no word"));
    }
    if flags.save && flags.nosave {
        return Err("shutdown options SAVE and NOSAVE can't be used simultaneously".into());
    }
    Ok(Value::Words(bits))
}

/// `min` tells which negative numbers exist at all in units that have none: percentages, and -1 for no limit.
fn parse_number(arg: &[u8], unit: Unit, min: i128) -> Result<i128, &'static str> {
    match unit {
        Unit::Plain => parse_integer(arg).ok_or("argument couldn't be parsed into an integer"),
        Unit::Octal => parse_octal(arg).ok_or("argument couldn't be parsed as an octal number"),
        Unit::Memory => (parse_memory(arg).map(i128::from))
            .or_else(|| parse_integer(arg).filter(|&n| n < 0 && min < 0))
            .ok_or("argument must be a memory value"),
        Unit::MemoryOrPercent => (parse_memory(arg).map(i128::from))
            .or_else(|| parse_integer(arg.strip_suffix(b"%")?).filter(|&n| n >= 0).map(|n| -n))
            .ok_or("argument must be a memory or percent value"),
    }
}

fn check_range(number: i128, min: i128, max: i128, unit: Unit, unsigned: bool) -> Result<(), String> {
    if unsigned && !(0..=i128::from(i64::MAX)).contains(&number) {
        return Err("argument must be greater or equal to 0".into());
    }
    if (min..=max).contains(&number) {
        return Ok(());
    }
    Err(match unit {
        Unit::Octal => format!("argument must be between {min:o} and {max:o} inclusive"),
        Unit::MemoryOrPercent if number < 0 => {
            format!("percentage argument must be less or equal to {}", -min)
        }
        _ => format!("argument must be between {min} and {max} inclusive"),
    })
}

/// A decimal that fits 64 bits, without white space, plus sign or leading zeros.
fn parse_integer(arg: &[u8]) -> Option<i128> {
    let digits = arg.strip_prefix(b"-").unwrap_or(arg);
    let canonical = match digits {
        [b'0'] => arg.len() == 1,
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    let number: i64 = canonical.then(|| str::from_utf8(arg).ok()?.parse().ok())??;
    Some(number.into())
}

fn parse_octal(arg: &[u8]) -> Option<i128> {
    if arg.is_empty() {
        return Some(0);
    }
    i64::from_str_radix(str::from_utf8(arg).ok()?, 8).ok().map(i128::from)
}

/// Digits and a unit. The empty text is 0, and what does not fit 64 bits is the largest number.
pub fn parse_memory(arg: &[u8]) -> Option<u64> {
    // The peers read up to a NUL.
    let arg = arg.split(|byte| *byte == 0).next().unwrap_or_default();
    let digits = arg.iter().take_while(|c| c.is_ascii_digit()).count();
    let factor: u64 = match arg[digits..].to_ascii_lowercase().as_slice() {
        b"" | b"b" => 1,
        b"k" => 1000,
        b"kb" => 1 << 10,
        b"m" => 1_000_000,
        b"mb" => 1 << 20,
        b"g" => 1_000_000_000,
        b"gb" => 1 << 30,
        _ => return None,
    };
    let add = |n: u64, digit: &u8| n.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    Some(arg[..digits].iter().fold(0, add).saturating_mul(factor))
}

/// Bytes in the largest unit that divides them.
fn print_memory(bytes: i128) -> String {
    for (unit, shift) in [("gb", 30), ("mb", 20), ("kb", 10)] {
        if bytes != 0 && bytes % (1 << shift) == 0 {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    bytes.to_string()
}

/// A decimal as C's strtoll reads it: leading white space and a sign are fine, and no digits at all is 0.
fn parse_loose(arg: &[u8]) -> Option<i64> {
    let text = str::from_utf8(arg.trim_ascii_start()).ok()?;
    if arg.is_empty() { Some(0) } else { text.parse().ok() }
}

fn parse_save(args: &[&[u8]]) -> Result<Value, String> {
    const INVALID: &str = "Invalid save parameters";
    if args == [b""] {
        return Ok(Value::Save(Vec::new()));
    }
    let (pairs, []) = args.as_chunks::<2>() else { return Err(INVALID.into()) };
    let mut points = Vec::new();
    for [seconds, changes] in pairs {
        let seconds = parse_loose(seconds).filter(|&n| n >= 1).ok_or(INVALID)?;
        let changes = parse_loose(changes).filter(|&n| n >= 0).ok_or(INVALID)?;
        points.push(SavePoint { seconds, changes });
    }
    Ok(Value::Save(points))
}

fn parse_output_limits(args: &[&[u8]], old: &Value) -> Result<Value, String> {
    const INVALID: &str = "Error in hard, soft or soft_seconds setting in buffer limit configuration.";
    let Value::OutputLimits(mut limits) = *old else { unreachable!("the old value has the same kind") };
    let args = if args == [b""] { &[] } else { args };
    let (groups, []) = args.as_chunks::<4>() else {
        return Err("Wrong number of arguments in buffer limit configuration.".into());
    };
    for [class, hard, soft, seconds] in groups {
        let class = ClientClass::named(class)
            .ok_or("Invalid client class specified in buffer limit configuration.")?;
        limits[class as usize] = OutputLimit {
            hard: parse_memory(hard).ok_or(INVALID)?,
            soft: parse_memory(soft).ok_or(INVALID)?,
            soft_seconds: parse_loose(seconds).and_then(|n| u64::try_from(n).ok()).ok_or(INVALID)?,
        };
    }
    Ok(Value::OutputLimits(limits))
}

fn parse_oom_scores(args: &[&[u8]]) -> Result<Value, String> {
    let Ok(args) = <&[&[u8]; 3]>::try_from(args) else { return Err("wrong number of arguments".into()) };
    let mut scores = [0; 3];
    for (score, arg) in scores.iter_mut().zip(args) {
        let number = parse_loose(arg).filter(|n| (-2000..=2000).contains(n));
        *score =
            number.ok_or("Invalid oom-score-adj-values, elements must be between -2000 and 2000.")? as i32;
    }
    Ok(Value::OomScores(scores))
}

fn parse_bind(args: &[&[u8]]) -> Result<Value, String> {
    if args.len() > MAX_BIND_ADDRESSES {
        return Err("Too many bind addresses specified.".into());
    }
    let addresses = if args == [b""] { &[] } else { args };
    Ok(Value::Bind(addresses.iter().map(|address| address.to_vec()).collect()))
}

fn parse_replicaof(args: &[&[u8]]) -> Result<Value, String> {
    let [host, port] = args else { return Err("wrong number of arguments".into()) };
    if host.eq_ignore_ascii_case(b"no") && port.eq_ignore_ascii_case(b"one") {
        return Ok(Value::ReplicaOf(None));
    }
    let port = parse_loose(port).and_then(|n| u16::try_from(n).ok()).ok_or("Invalid master port")?;
    Ok(Value::ReplicaOf(Some((host.to_vec(), port))))
}

fn parse_percentiles(args: &[&[u8]]) -> Result<Value, String> {
    if args == [b""] {
        return Ok(Value::Percentiles(Vec::new()));
    }
    let mut percentiles = Vec::new();
    for arg in args {
        let text = str::from_utf8(arg).ok().filter(|s| !s.starts_with(' '));
        let number: f64 = (text.and_then(|s| s.parse().ok()))
            .filter(|n: &f64| !n.is_nan())
            .ok_or("Invalid latency-tracking-info-percentiles parameters")?;
        if !(0.0..=100.0).contains(&number) {
            return Err("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]".into());
        }
        percentiles.push(number);
    }
    Ok(Value::Percentiles(percentiles))
}
