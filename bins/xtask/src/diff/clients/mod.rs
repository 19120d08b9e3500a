//! Several clients of each server in turns: what every one of them receives, step by step, is compared.
//!
//! After each step the run waits until the server has done all that the step caused, which needs no knowledge of
//! whether a reply is due: so waiting, silent, paused and subscribed clients are as good as any. A run is a sequence
//! of episodes, each with new connections and an empty dataset.

mod control;
mod data;
mod form;
mod functions;
mod messages;
mod scene;
mod scripts;
mod stage;
mod tracking;
mod transactions;

use std::thread;
use std::time::Duration;

use anyhow::Context;
use carnelian_testkit::quote;
use carnelian_testkit::rule::Rule;

use super::dataset::Dataset;
use super::draw::Draw;
use super::plan::{How, Plan};
use super::report::{self, Mismatch, Report};
use super::rules::{self, Sight};
use super::target::Target;
use scene::{Group, Scene, Step};
use stage::Stage;

pub(crate) use stage::Seen;

/// The groups drawn unless told otherwise.
pub(crate) const GROUPS: &str = "transactions,messages,scripts,functions,tracking,control";

const STEPS: usize = 60;
/// One in so many episodes is about what only Valkey has.
const VALKEY_EPISODE: usize = 12;

const OURS: usize = 0;
const REDIS: usize = 1;
const VALKEY: usize = 2;

/// A run in progress.
pub(crate) struct Run {
    stages: [Stage; 3],
    draw: Draw,
    groups: Vec<Group>,
    protocols: Vec<&'static str>,
    report: Report,
    history: Vec<String>,
    sent: u64,
    reference: usize,
    /// The servers' states have parted: nothing more is compared in this episode.
    parted: bool,
    /// The peers have not differed in this episode.
    peers_agree: bool,
}

/// The group of that name.
pub(crate) fn group(name: &str) -> anyhow::Result<Group> {
    scene::group(name).with_context(|| format!("no group {name} of several clients"))
}

impl Run {
    pub(crate) fn new(
        targets: [Target; 3],
        draw: Draw,
        groups: Vec<Group>,
        protocols: Vec<&'static str>,
    ) -> Self {
        Self {
            stages: targets.map(Stage::new),
            draw,
            groups,
            protocols,
            report: Report::default(),
            history: Vec::new(),
            sent: 0,
            reference: REDIS,
            parted: false,
            peers_agree: true,
        }
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    pub(crate) fn report(&self) -> &Report {
        &self.report
    }

    /// Takes `steps` steps, or fewer once `kinds` kinds of mismatches were found.
    pub(crate) fn send(&mut self, steps: u64, kinds: usize) -> anyhow::Result<()> {
        for episode in 0.. {
            if self.sent >= steps || self.report.kinds() >= kinds {
                break;
            }
            if let Err(error) = self.episode(episode % VALKEY_EPISODE == VALKEY_EPISODE - 1) {
                self.go_on_after(error)?;
            }
        }
        Ok(())
    }

    /// The peers crash now and then, which is no reason to stop.
    fn go_on_after(&mut self, error: anyhow::Error) -> anyhow::Result<()> {
        let redis = self.stages[REDIS].target.revive()?;
        let valkey = self.stages[VALKEY].target.revive()?;
        if !redis && !valkey {
            return Err(error);
        }
        let last = self.history.last().cloned().unwrap_or_default();
        println!("a peer crashed (redis: {redis}, valkey: {valkey}) after {} steps: {last}", self.sent);
        self.report.explained("a peer crashed; the episode was given up");
        Ok(())
    }

    /// The servers that take part in this episode; the reference is the second of them.
    fn active(&self) -> &'static [usize] {
        if self.reference == VALKEY { &[OURS, VALKEY] } else { &[OURS, REDIS, VALKEY] }
    }

    fn episode(&mut self, valkey: bool) -> anyhow::Result<()> {
        self.reference = if valkey { VALKEY } else { REDIS };
        (self.parted, self.peers_agree) = (false, true);
        self.history.clear();
        let mut scene = Scene::new(&mut self.draw, &self.groups, &self.protocols, valkey);
        for &index in self.active() {
            self.stages[index].open(&scene.protocols)?;
        }
        for _ in 0..STEPS {
            if scene.is_stuck() {
                return Ok(());
            }
            let step = scene.step(&mut self.draw);
            self.take(&mut scene, &step)?;
            if self.parted {
                return Ok(());
            }
        }
        self.finish(&mut scene)
    }

    /// Nobody waits any more; then the datasets are compared.
    fn finish(&mut self, scene: &mut Scene) -> anyhow::Result<()> {
        for actor in 0..scene.actors.len() {
            for words in [&["CLIENT", "UNPAUSE"][..], &["CLIENT", "UNBLOCK", &format!("<id:{actor}>")]] {
                // A client that does not wait itself wakes the others.
                let awake =
                    (0..scene.actors.len()).find(|&other| other != actor && !scene.actors[other].pending);
                let Some(awake) = awake else { continue };
                let mut step = Step::from(Plan::of(words[0]).args(&words[1..]));
                step.actor = awake;
                self.take(scene, &step)?;
                if self.parted {
                    return Ok(());
                }
            }
        }
        for &index in self.active() {
            self.stages[index].target.reconnect()?;
            self.stages[index].target.call(&["CLIENT", "UNPAUSE"])?;
            self.stages[index].settle()?;
        }
        self.compare_datasets()
    }

    fn take(&mut self, scene: &mut Scene, step: &Step) -> anyhow::Result<()> {
        self.sent += 1;
        self.history.push(format!("c{}> {}", step.actor, line(&step.argv)));
        for &index in self.active() {
            self.stages[index].send(step.actor, &step.argv)?;
        }
        for &index in self.active() {
            self.stages[index].settle().with_context(|| self.history.join("\n"))?;
        }
        if step.wait > 0 {
            thread::sleep(Duration::from_millis(step.wait));
            for &index in self.active() {
                self.stages[index].settle()?;
            }
        }
        if step.expires {
            self.touch_expired(step)?;
        }
        if matches!(step.how, How::By(Rule::Kind)) && step.argv[0] == b"FUNCTION" {
            for &index in self.active() {
                self.stages[index].keep_functions()?;
            }
        }
        for actor in 0..scene.actors.len() {
            self.compare(scene, step, actor)?;
        }
        Ok(())
    }

    /// Keys of the peers are there until somebody looks at them.
    fn touch_expired(&mut self, step: &Step) -> anyhow::Result<()> {
        for &index in self.active() {
            let stage = &mut self.stages[index];
            for database in ["0", "1"] {
                stage.target.call(&["SELECT", database])?;
                stage.target.call(&[b"EXISTS", &step.argv[1][..]])?;
            }
            stage.settle()?;
        }
        Ok(())
    }

    fn compare(&mut self, scene: &mut Scene, step: &Step, actor: usize) -> anyhow::Result<()> {
        let mut seen = Vec::new();
        for &index in self.active() {
            let stage = &mut self.stages[index];
            let mut one = stage.arrived(actor)?;
            if step.names && step.actor == actor {
                one.replies = one.replies.iter().map(|reply| stage.name_clients(reply)).collect();
            }
            one.replies = form::canonical(&one.replies);
            seen.push(one);
        }
        if self.parted {
            return Ok(());
        }
        let how = if step.actor == actor { &step.how } else { &How::By(Rule::Exact) };
        if !equal(how, &seen[0], &seen[1]) {
            let sight = Sight { argv: &step.argv, own: step.actor == actor, all: &seen };
            match rules::explain_seen(sight) {
                Some(reason) => {
                    self.report.explained(reason);
                    // What is explained may be that a client went on, or was closed, here alone.
                    self.parted |= !same_count(&seen[0], &seen[1]);
                }
                None => self.found(step, actor, &seen),
            }
        } else if self.peers_agree && self.reference == REDIS && !equal(how, &seen[1], &seen[2]) {
            // What follows may differ because of it.
            self.peers_agree = false;
            let shape = shape(step, actor, &seen[1..]);
            self.report.peers_differ(shape, || {
                let command = quote::command_line(&step.argv);
                format!("{command}  redis {}  valkey {}", show(&seen[1]), show(&seen[2]))
            });
        }
        self.note(scene, step, actor, &seen[1])
    }

    fn note(&mut self, scene: &mut Scene, step: &Step, actor: usize, seen: &Seen) -> anyhow::Result<()> {
        // One that waits may hear of other things meanwhile.
        let answered = |reply: &Vec<u8>| step.actor == actor || !reply.starts_with(b">");
        if seen.replies.iter().any(answered) {
            scene.actors[actor].pending = false;
        } else if step.actor == actor {
            scene.actors[actor].pending = true;
        }
        if seen.closed {
            scene.actors[actor] = scene::State::default();
            for &index in self.active() {
                self.stages[index].replace(actor)?;
            }
        }
        Ok(())
    }

    fn found(&mut self, step: &Step, actor: usize, seen: &[Seen]) {
        self.parted = true;
        let names = self.active().iter().map(|&index| self.stages[index].target.name);
        self.report.mismatch(Mismatch {
            command: format!("c{}> {}, received by c{actor}", step.actor, line(&step.argv)),
            shape: shape(step, actor, seen),
            replies: names.zip(seen.iter().map(show)).collect(),
            history: self.history.clone(),
            position: self.sent,
        });
    }

    fn compare_datasets(&mut self) -> anyhow::Result<()> {
        let ours = Dataset::of(&mut self.stages[OURS].target)?;
        let reference = Dataset::of(&mut self.stages[self.reference].target)?;
        for (key, ours, theirs) in ours.differences(&reference, false) {
            self.parted = true;
            self.report.mismatch(Mismatch {
                command: format!("(dataset) {}", quote::escape(&key)),
                shape: "(dataset)".to_owned(),
                replies: vec![("ours", ours), (self.stages[self.reference].target.name, theirs)],
                history: self.history.clone(),
                position: self.sent,
            });
        }
        Ok(())
    }
}

fn equal(how: &How, ours: &Seen, reference: &Seen) -> bool {
    same_count(ours, reference)
        && ours.replies.iter().zip(&reference.replies).all(|(ours, theirs)| how.equal(ours, theirs))
}

fn same_count(ours: &Seen, reference: &Seen) -> bool {
    ours.closed == reference.closed && ours.replies.len() == reference.replies.len()
}

/// The replies that differ are named; if one side has more, the first of those.
fn shape(step: &Step, actor: usize, seen: &[Seen]) -> String {
    let most = seen.iter().map(|one| one.replies.len()).max().unwrap_or_default();
    let at =
        (0..most).find(|&at| seen.windows(2).any(|pair| pair[0].replies.get(at) != pair[1].replies.get(at)));
    let replies = seen.iter().map(|one| match at.and_then(|at| one.replies.get(at)) {
        Some(reply) => report::shape_of_reply(reply),
        None => (if one.closed { "closed" } else { "nothing" }).to_owned(),
    });
    let who = if step.actor == actor { "" } else { " (another)" };
    format!("{}{who}: {}", report::shape_of_command(&step.argv), replies.collect::<Vec<_>>().join(" | "))
}

/// A command in full: a script's text is what matters.
fn line(argv: &[Vec<u8>]) -> String {
    let words: Vec<String> = argv.iter().map(|word| format!("{:?}", quote::escape(word))).collect();
    words.join(" ")
}

fn show(seen: &Seen) -> String {
    let replies: Vec<String> = seen.replies.iter().map(|reply| report::show(reply)).collect();
    format!("{}{}", replies.join("  "), if seen.closed { "  (closed)" } else { "" })
}
