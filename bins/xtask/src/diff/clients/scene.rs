//! What interleaved clients do next: an episode has some groups of commands, and clients in different states.

use super::super::draw::Draw;
use super::super::plan::{How, Plan};
use super::{control, data, functions, messages, scripts, tracking, transactions};

/// The most clients of an episode.
pub(crate) const MOST_CLIENTS: usize = 5;

/// One command of one client.
pub(crate) struct Step {
    pub(crate) actor: usize,
    pub(crate) argv: Vec<Vec<u8>>,
    /// How the replies to the client that sends it are compared.
    pub(crate) how: How,
    /// Numbers of clients in the reply are replaced by their names.
    pub(crate) names: bool,
    /// Its reply cannot be compared as that of EXEC, or later.
    pub(crate) alone: bool,
    /// It does not belong into a transaction.
    pub(crate) outside: bool,
    /// A key's deadline has passed after that.
    pub(crate) expires: bool,
    /// Milliseconds until what it caused has happened.
    pub(crate) wait: u64,
}

impl Step {
    pub(crate) fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    /// Its reply contains the number of a client.
    pub(crate) fn named(mut self) -> Self {
        self.names = true;
        self.alone()
    }
}

impl From<Plan> for Step {
    fn from(plan: Plan) -> Self {
        let exact = matches!(plan.how, How::By(carnelian_testkit::rule::Rule::Exact));
        Self {
            actor: 0,
            argv: plan.argv,
            how: plan.how,
            names: false,
            alone: !exact,
            outside: false,
            expires: false,
            wait: 0,
        }
    }
}

/// A group of commands of interleaved clients.
pub(crate) type Group = fn(&mut Draw, &Scene) -> Step;

/// What is known of a client.
#[derive(Clone, Copy, Default)]
pub(crate) struct State {
    pub(crate) in_transaction: bool,
    /// Its last command got no reply: it waits, or is silent.
    pub(crate) pending: bool,
}

/// An episode.
pub(crate) struct Scene {
    pub(crate) protocols: Vec<&'static str>,
    pub(crate) actors: Vec<State>,
    groups: Vec<Group>,
    /// It is about what only Valkey has.
    valkey: bool,
    /// Commands may hold up writes for longer than anybody waits.
    pub(crate) paused: bool,
    /// SWAPDB may be used; otherwise keys may be tracked. Here it calls all copies in, in the peers it does not.
    pub(crate) swaps: bool,
}

/// The groups by name.
pub(crate) fn group(name: &str) -> Option<Group> {
    Some(match name {
        "transactions" => transactions::step,
        "messages" => messages::step,
        "scripts" => scripts::step,
        "functions" => functions::step,
        "tracking" => tracking::step,
        "control" => control::step,
        _ => return None,
    })
}

impl Scene {
    pub(crate) fn new(draw: &mut Draw, groups: &[Group], protocols: &[&'static str], valkey: bool) -> Self {
        let count = draw.rng.range(2, MOST_CLIENTS as i64) as usize;
        let chosen = (0..draw.rng.range(1, 3)).map(|_| draw.rng.pick(groups)).collect();
        Self {
            protocols: (0..count).map(|_| draw.rng.pick(protocols)).collect(),
            actors: vec![State::default(); count],
            groups: if valkey { vec![control::valkey_step] } else { chosen },
            valkey,
            paused: false,
            swaps: draw.rng.chance(40),
        }
    }

    /// Everybody is held up. When they go on, each server has its own order.
    pub(crate) fn is_stuck(&self) -> bool {
        self.paused && self.actors.iter().all(|actor| actor.pending)
    }

    /// The next command, and who sends it.
    pub(crate) fn step(&mut self, draw: &mut Draw) -> Step {
        let mut actor = draw.rng.below(self.actors.len());
        // Those that are held up go on in an order of each server's own, with all that they have sent.
        let patience = if self.paused { 0 } else { 15 };
        if self.actors[actor].pending && !draw.rng.chance(patience) {
            let awake: Vec<usize> = (0..self.actors.len()).filter(|&one| !self.actors[one].pending).collect();
            if !awake.is_empty() {
                actor = draw.rng.pick(&awake);
            }
        }
        let state = self.actors[actor];
        loop {
            let mut step = self.draw(draw, state);
            let queued = state.in_transaction && (step.alone || step.outside);
            // Redis answers FLUSHALL and FLUSHDB when a thread has freed everything, which nobody waits for later.
            let late = state.pending && (step.alone || step.argv[0].starts_with(b"FLUSH"));
            if queued || late {
                continue;
            }
            step.actor = actor;
            self.note(&step);
            return step;
        }
    }

    fn draw(&self, draw: &mut Draw, state: State) -> Step {
        if state.in_transaction && draw.rng.chance(20) {
            return Plan::of(draw.rng.pick(&["EXEC", "EXEC", "EXEC", "DISCARD"])).into();
        }
        match draw.rng.below(10) {
            0..=3 if self.valkey => data::command(draw).into(),
            0..=3 => data::step(draw, self),
            _ => draw.rng.pick(&self.groups)(draw, self),
        }
    }

    fn note(&mut self, step: &Step) {
        let state = &mut self.actors[step.actor];
        let word = |at: usize| step.argv.get(at).map(|word| word.to_ascii_uppercase()).unwrap_or_default();
        match &word(0)[..] {
            b"MULTI" => state.in_transaction = true,
            b"EXEC" | b"DISCARD" | b"RESET" | b"QUIT" => state.in_transaction = false,
            b"CLIENT" if word(1) == b"PAUSE" && step.wait == 0 => self.paused = true,
            _ => {}
        }
    }

    /// What a client with the number `actor` is called in a request.
    pub(crate) fn someone(&self, draw: &mut Draw) -> String {
        format!("<id:{}>", draw.rng.below(self.actors.len()))
    }
}
