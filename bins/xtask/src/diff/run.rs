//! The loop of a differential run: segments of batches, each followed by what cannot be part of a batch.

use std::collections::{BTreeSet, VecDeque};
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};
use carnelian_testkit::{quote, reply};

use super::dataset::Dataset;
use super::draw::Draw;
use super::plan::{How, Plan};
use super::report::{self, Mismatch, Report};
use super::rules::{self, Pair};
use super::target::Target;
use super::{Family, connection, garbage, generic, valkey};

const BATCH: usize = 200;
const BATCHES_PER_SEGMENT: usize = 25;
/// One in so many segments is about what only Valkey has.
const VALKEY_SEGMENT: usize = 8;
/// Commands kept for the history of a mismatch.
const REMEMBERED: usize = 20_000;
/// Commands shown in the history of a mismatch.
const SHOWN: usize = 12;

/// The index of our server among the targets, and of the two references.
const OURS: usize = 0;
const REDIS: usize = 1;
const VALKEY: usize = 2;

/// A run in progress.
pub(crate) struct Run {
    targets: [Target; 3],
    draw: Draw,
    families: Vec<Family>,
    protocols: Vec<&'static str>,
    report: Report,
    history: VecDeque<Vec<Vec<u8>>>,
    sent: u64,
    /// The server whose replies are expected in this segment.
    reference: usize,
    /// The datasets no longer agree: a mismatch was found.
    broken: bool,
}

impl Run {
    pub(crate) fn new(
        targets: [Target; 3],
        draw: Draw,
        families: Vec<Family>,
        protocols: Vec<&'static str>,
    ) -> Self {
        Self {
            targets,
            draw,
            families,
            protocols,
            report: Report::default(),
            history: VecDeque::new(),
            sent: 0,
            reference: REDIS,
            broken: true,
        }
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    pub(crate) fn report(&self) -> &Report {
        &self.report
    }

    /// Sends `commands` commands, or fewer once `kinds` kinds of mismatches were found.
    pub(crate) fn send(&mut self, commands: u64, kinds: usize) -> anyhow::Result<()> {
        for segment in 0.. {
            if self.sent >= commands || self.report.kinds() >= kinds {
                break;
            }
            self.start_segment(segment)?;
            for _ in 0..BATCHES_PER_SEGMENT {
                if self.broken {
                    break;
                }
                self.batch()?;
                self.between_batches()?;
            }
            if !self.broken {
                self.compare_datasets()?;
            }
        }
        Ok(())
    }

    /// The servers that take part in this segment.
    fn active(&self) -> &'static [usize] {
        if self.reference == VALKEY { &[OURS, VALKEY] } else { &[OURS, REDIS, VALKEY] }
    }

    fn start_segment(&mut self, segment: usize) -> anyhow::Result<()> {
        let reference = if segment % VALKEY_SEGMENT == VALKEY_SEGMENT - 1 { VALKEY } else { REDIS };
        let empty = self.broken || reference != self.reference;
        self.reference = reference;
        self.broken = false;
        let protocol = self.protocols[segment % self.protocols.len()];
        for target in &mut self.targets {
            target.call(&["RESET"])?;
            target.call(&["HELLO", protocol])?;
            if empty {
                target.call(&["FLUSHALL"])?;
            }
        }
        if empty {
            self.history.clear();
        }
        Ok(())
    }

    fn plan(&mut self) -> Plan {
        let family = match self.reference {
            VALKEY => valkey::plan,
            _ => self.families[self.draw.rng.below(self.families.len())],
        };
        let plan = family(&mut self.draw);
        self.draw.mutate(plan)
    }

    fn batch(&mut self) -> anyhow::Result<()> {
        let plans: Vec<Plan> = (0..BATCH).map(|_| self.plan()).collect();
        let marker = format!("marker {}", self.sent);
        let mut request = Vec::new();
        plans.iter().for_each(|plan| plan.encode(&mut request));
        carnelian_testkit::encode(&["ECHO", &marker], &mut request);
        let awaited: usize = plans.iter().map(Plan::replies).sum();
        for &index in self.active() {
            let target = &mut self.targets[index];
            target.stream.send_raw(&request).with_context(|| target.state())?;
        }
        for &index in self.active() {
            let last = |plans: &[Plan]| quote::command_line(&plans[plans.len() - 1].argv);
            let target = &mut self.targets[index];
            target
                .collect(awaited + 1)
                .with_context(|| format!("in the batch that ends with {}", last(&plans)))?;
            let echoed = reply::payload(target.replies.get(awaited));
            ensure!(echoed == Some(marker.as_bytes()), "{}: replies are out of step", target.name);
        }
        self.compare_batch(plans);
        self.sent += BATCH as u64;
        Ok(())
    }

    fn compare_batch(&mut self, plans: Vec<Plan>) {
        let mut at = 0;
        for plan in plans {
            if plan.replies() == 1 {
                self.compare_reply(&plan, at);
                at += 1;
            }
            if self.broken {
                return;
            }
            self.remember(plan);
        }
    }

    fn remember(&mut self, plan: Plan) {
        if self.history.len() == REMEMBERED {
            self.history.pop_front();
        }
        self.history.push_back(plan.argv);
        if let How::Silent(next) = plan.how {
            self.remember(*next);
        }
    }

    fn compare_reply(&mut self, plan: &Plan, at: usize) {
        let ours = self.targets[OURS].replies.get(at);
        let reference = self.targets[self.reference].replies.get(at);
        if !plan.how.equal(ours, reference) {
            match rules::explain(Pair { argv: &plan.argv, ours, reference }) {
                Some(reason) => self.report.explained(reason),
                None => {
                    let replies =
                        self.active().iter().map(|&index| self.targets[index].replies.get(at).to_vec());
                    let replies = replies.collect();
                    self.found(&plan.argv, replies);
                }
            }
        } else if self.reference == REDIS {
            let valkey = self.targets[VALKEY].replies.get(at);
            if !plan.how.equal(reference, valkey) {
                let shape = shape(&plan.argv, [reference, valkey]);
                self.report.peers_differ(shape, || {
                    let command = quote::command_line(&plan.argv);
                    format!("{command}  redis {}  valkey {}", report::show(reference), report::show(valkey))
                });
            }
        }
    }

    /// Reports a mismatch; `replies` are those of the active servers, in their order.
    fn found(&mut self, argv: &[Vec<u8>], replies: Vec<Vec<u8>>) {
        self.broken = true;
        let keys: BTreeSet<&Vec<u8>> = argv[1..].iter().filter(|arg| self.draw.is_key(arg)).collect();
        let touches = |past: &&Vec<Vec<u8>>| {
            let name = past[0].to_ascii_uppercase();
            matches!(&name[..], b"SELECT" | b"SWAPDB" | b"FLUSHALL" | b"FLUSHDB" | b"RESET" | b"HELLO")
                || past[1..].iter().any(|arg| keys.contains(arg))
        };
        let mut history: Vec<String> = self
            .history
            .iter()
            .rev()
            .filter(touches)
            .take(SHOWN)
            .map(|past| quote::command_line(past))
            .collect();
        history.reverse();
        let names = self.active().iter().map(|&index| self.targets[index].name);
        self.report.mismatch(Mismatch {
            command: quote::command_line(argv),
            shape: shape(argv, replies.iter().map(Vec::as_slice)),
            replies: names.zip(replies.iter().map(|reply| report::show(reply))).collect(),
            history,
            position: self.sent,
        });
    }

    fn between_batches(&mut self) -> anyhow::Result<()> {
        if !self.broken && self.draw.rng.chance(20) {
            self.full_scan()?;
        }
        if !self.broken && self.draw.rng.chance(20) {
            self.random_key()?;
        }
        if !self.broken && self.draw.rng.chance(1) {
            self.short_deadlines()?;
        }
        // What both peers have is none of a Valkey segment's business.
        if self.reference == REDIS && self.draw.rng.chance(20) {
            self.damaged_request()?;
        }
        if self.reference == REDIS && self.draw.rng.chance(2) {
            let argv = connection::refused_login(&mut self.draw);
            self.call_and_compare(&argv, |target, argv| target.call(argv))?;
        }
        Ok(())
    }

    /// Each server is scanned with the same options; cursors are its own business, the set of keys is not.
    fn full_scan(&mut self) -> anyhow::Result<()> {
        let mut options: Vec<Vec<u8>> = Vec::new();
        if self.draw.rng.chance(50) {
            options.extend([b"MATCH".to_vec(), generic::pattern(&mut self.draw)]);
        }
        if self.draw.rng.chance(50) {
            options.extend([b"COUNT".to_vec(), self.draw.rng.range(1, 40).to_string().into_bytes()]);
        }
        if self.draw.rng.chance(30) {
            let kind = self.draw.rng.pick(&["string", "STRING", "list"]);
            options.extend([b"TYPE".to_vec(), kind.as_bytes().to_vec()]);
        }
        let mut found = Vec::new();
        for &index in self.active() {
            found.push(scan(&mut self.targets[index], &options)?);
        }
        // The reference follows ours among the active servers.
        if found[0] != found[1] {
            let argv = [vec![b"SCAN".to_vec(), b"(all)".to_vec()], options].concat();
            let listings = found.iter().map(|keys| keys.iter().flatten().copied().collect()).collect();
            self.found(&argv, listings);
        }
        Ok(())
    }

    /// RANDOMKEY must name a key that is there, or none if none is.
    fn random_key(&mut self) -> anyhow::Result<()> {
        let size = self.targets[self.reference].call(&["DBSIZE"])?;
        let ours = self.targets[OURS].call(&["RANDOMKEY"])?;
        let good = match reply::payload(&ours) {
            Some(key) => self.targets[self.reference].call(&[b"EXISTS", key])? == b":1\r\n",
            None => size == b":0\r\n",
        };
        if !good {
            let replies = vec![ours; self.active().len()];
            self.found(&[b"RANDOMKEY".to_vec()], replies);
        }
        Ok(())
    }

    /// Deadlines a few milliseconds away, looked at only when they have passed.
    fn short_deadlines(&mut self) -> anyhow::Result<()> {
        let keys = self.draw.keys(5, 5);
        let past =
            |word: &str| vec![b"SET".to_vec(), keys[4].clone(), b"v".to_vec(), word.into(), b"1000".to_vec()];
        let commands = [
            past(self.draw.rng.pick(&["PXAT", "EXAT"])),
            vec![b"SET".to_vec(), keys[0].clone(), b"v".to_vec(), b"PX".to_vec(), b"15".to_vec()],
            vec![b"PSETEX".to_vec(), keys[1].clone(), b"20".to_vec(), b"v".to_vec()],
            vec![b"PEXPIRE".to_vec(), keys[2].clone(), b"10".to_vec()],
            vec![b"GETEX".to_vec(), keys[3].clone(), b"PX".to_vec(), b"5".to_vec()],
        ];
        for &index in self.active() {
            for argv in &commands {
                self.targets[index].call(argv)?;
            }
        }
        thread::sleep(Duration::from_millis(60));
        for key in keys {
            for name in ["GET", "EXISTS", "TTL", "TYPE"] {
                let argv = [name.as_bytes().to_vec(), key.clone()];
                self.call_and_compare(&argv, |target, argv| target.call(argv))?;
            }
        }
        Ok(())
    }

    fn damaged_request(&mut self) -> anyhow::Result<()> {
        let bytes = garbage::request(&mut self.draw);
        let argv = [b"(raw)".to_vec(), bytes];
        self.call_and_compare(&argv, |target, argv| target.answer_to(&argv[1]))
    }

    fn call_and_compare(
        &mut self,
        argv: &[Vec<u8>],
        call: impl Fn(&mut Target, &[Vec<u8>]) -> anyhow::Result<Vec<u8>>,
    ) -> anyhow::Result<()> {
        if self.broken {
            return Ok(());
        }
        let mut replies = Vec::new();
        for &index in self.active() {
            replies.push(call(&mut self.targets[index], argv)?);
        }
        // The reference follows ours among the active servers.
        if replies[0] != replies[1] {
            self.found(argv, replies);
        }
        Ok(())
    }

    fn compare_datasets(&mut self) -> anyhow::Result<()> {
        let ours = Dataset::of(&mut self.targets[OURS])?;
        let reference = Dataset::of(&mut self.targets[self.reference])?;
        // Redis and Valkey choose encodings differently; Redis is the reference.
        let encodings = self.reference == REDIS;
        for (key, ours, theirs) in ours.differences(&reference, encodings) {
            self.found(&[b"(dataset)".to_vec(), key], vec![ours.into_bytes(), theirs.into_bytes()]);
        }
        Ok(())
    }
}

fn shape<'a>(argv: &[Vec<u8>], replies: impl IntoIterator<Item = &'a [u8]>) -> String {
    let replies: Vec<String> = replies.into_iter().map(report::shape_of_reply).collect();
    format!("{}: {}", report::shape_of_command(argv), replies.join(" | "))
}

/// All keys that a complete scan of the selected database returns.
fn scan(target: &mut Target, options: &[Vec<u8>]) -> anyhow::Result<BTreeSet<Vec<u8>>> {
    const MOST_CALLS: usize = 10_000;
    let mut keys = BTreeSet::new();
    let mut cursor = b"0".to_vec();
    for _ in 0..MOST_CALLS {
        let argv = [vec![b"SCAN".to_vec(), cursor], options.to_vec()].concat();
        let page = target.call(&argv)?;
        let parts = reply::elements(&page).map(|(_, parts)| parts).unwrap_or_default();
        let [next, items] = parts[..] else { anyhow::bail!("SCAN answers {}", report::show(&page)) };
        let (_, items) = reply::elements(items).context("SCAN answers no array")?;
        keys.extend(items.into_iter().filter_map(reply::payload).map(<[u8]>::to_vec));
        cursor = reply::payload(next).context("SCAN answers no cursor")?.to_vec();
        if cursor == b"0" {
            return Ok(keys);
        }
    }
    anyhow::bail!("{}: SCAN does not end", target.name)
}
