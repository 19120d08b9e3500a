//! The open loop: batches are sent at fixed times, whether or not earlier ones are answered, and latency counts from
//! the time at which a batch should have been sent. So a stall is seen by everyone who would have come meanwhile.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::closed_loop::check;
use crate::sockets::Sockets;
use crate::wire::Reply;

/// A batch may take so long; beyond, the server does not keep up with the rate.
const PATIENCE: Duration = Duration::from_secs(20);

/// How requests are spread.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    /// Requests per second.
    pub(crate) rate: u64,
    /// Requests sent at once.
    pub(crate) batch: u64,
    /// Connections, which take turns.
    pub(crate) connections: usize,
}

/// A batch that has been answered.
#[derive(Clone, Copy)]
pub(crate) struct Done {
    /// Its number, from 0.
    pub(crate) number: u64,
    /// When it should have been sent.
    pub(crate) due: Instant,
    /// From then until its last reply.
    pub(crate) latency: Duration,
}

struct Waiting {
    number: u64,
    missing: usize,
}

/// A run of batches in progress. It never sleeps: the caller spins, so that no timer's delay is taken for the server's.
pub(crate) struct OpenLoop {
    sockets: Sockets,
    waiting: Vec<VecDeque<Waiting>>,
    plan: Plan,
    reply: Reply,
    began: Instant,
    sent: u64,
    done: u64,
    batches: u64,
    rendered: Vec<u8>,
}

impl OpenLoop {
    /// Connects. The first batch is due at once; there will be `batches` of them.
    pub(crate) fn start(port: u16, plan: Plan, batches: u64, reply: Reply) -> Result<Self> {
        let sockets = Sockets::connect(port, plan.connections)?;
        let waiting = (0..plan.connections).map(|_| VecDeque::new()).collect();
        let (began, rendered) = (Instant::now(), Vec::new());
        Ok(OpenLoop { sockets, waiting, plan, reply, began, sent: 0, done: 0, batches, rendered })
    }

    /// Sends what is due and reads what has come. `render` appends the requests of a batch, `done` hears of each
    /// answered one. Returns whether all batches are answered.
    pub(crate) fn turn(
        &mut self,
        mut render: impl FnMut(u64, &mut Vec<u8>),
        mut done: impl FnMut(Done),
    ) -> Result<bool> {
        let now = Instant::now();
        while self.sent < self.batches && self.due(self.sent) <= now {
            let index = (self.sent % self.plan.connections as u64) as usize;
            self.rendered.clear();
            render(self.sent, &mut self.rendered);
            self.sockets.send(index, &self.rendered)?;
            let missing = self.plan.batch as usize * self.reply.bytes;
            self.waiting[index].push_back(Waiting { number: self.sent, missing });
            self.sent += 1;
        }
        let ready = self.sockets.wait(Duration::ZERO)?;
        let now = Instant::now();
        for nth in 0..ready {
            self.receive(nth, now, &mut done)?;
        }
        if self.done < self.sent && ready == 0 {
            let oldest = self.due(self.done.saturating_sub(self.plan.connections as u64));
            ensure!(now.saturating_duration_since(oldest) < PATIENCE, "the server does not keep up");
        }
        Ok(self.done == self.batches)
    }

    fn receive(&mut self, nth: usize, now: Instant, done: &mut impl FnMut(Done)) -> Result<()> {
        let (plan, began) = (self.plan, self.began);
        let full = plan.batch as usize * self.reply.bytes;
        let (index, mut input) = self.sockets.read(nth)?;
        while !input.is_empty() {
            let Some(first) = self.waiting[index].front_mut() else {
                return check(input, true, 0, self.reply);
            };
            let part = input.len().min(first.missing);
            check(&input[..part], first.missing == full, part, self.reply)?;
            first.missing -= part;
            input = &input[part..];
            if first.missing == 0 {
                let due = due(began, plan, first.number);
                done(Done { number: first.number, due, latency: now.saturating_duration_since(due) });
                self.done += 1;
                self.waiting[index].pop_front();
            }
        }
        Ok(())
    }

    fn due(&self, number: u64) -> Instant {
        due(self.began, self.plan, number)
    }
}

fn due(began: Instant, plan: Plan, number: u64) -> Instant {
    let nanos = u128::from(number * plan.batch) * 1_000_000_000 / u128::from(plan.rate);
    began + Duration::from_nanos(nanos as u64)
}
