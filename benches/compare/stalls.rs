//! Stalls: runs of batches that were answered late, and what the kernel's account of the threads says of their cause.
//! On a shared machine most late replies come from a thread that wanted to run and was not let. What a hypervisor takes
//! shows in no account: hence the control run of the `fill` workload.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::open_loop::Done;
use crate::server::{SchedStat, Server};

/// Replies later than this make a stall.
pub(crate) const LATE: Duration = Duration::from_millis(1);

const SAMPLE_INTERVAL: Duration = Duration::from_millis(1);
const SAMPLES_KEPT: usize = 10_000;

/// A run of late batches.
pub(crate) struct Stall {
    /// The number of its first batch.
    pub(crate) batch: u64,
    /// The longest latency in it.
    pub(crate) worst: Duration,
    /// Time during it in which the server or the generator waited for a core.
    pub(crate) descheduled: Duration,
    /// Processor time that the server used during it.
    pub(crate) server_ran: Duration,
}

/// What kept replies waiting.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The server or the generator waited for a core for at least half of the time.
    Scheduler,
    /// The server ran for at least half of the time: it may have done something long.
    Server,
    /// Neither: the network's interrupts, or the machine below this one.
    Elsewhere,
}

impl Stall {
    /// The most likely cause.
    pub(crate) fn cause(&self) -> Cause {
        if self.descheduled * 2 >= self.worst {
            Cause::Scheduler
        } else if self.server_ran * 2 >= self.worst {
            Cause::Server
        } else {
            Cause::Elsewhere
        }
    }
}

struct Open {
    began: Instant,
    last_late: Instant,
    recovered: bool,
    stall: Stall,
}

#[derive(Clone, Copy)]
struct Sample {
    at: Instant,
    waited: Duration,
    server_ran: Duration,
}

/// Watches one run of an open loop.
pub(crate) struct StallLog {
    server: SchedStat,
    own: SchedStat,
    samples: VecDeque<Sample>,
    current: Option<Open>,
    finished: Vec<Stall>,
}

impl StallLog {
    /// Begins to watch.
    pub(crate) fn new(server: &Server) -> Result<Self> {
        let (server, own) = (server.main_thread()?, SchedStat::own()?);
        let mut log = StallLog { server, own, samples: VecDeque::new(), current: None, finished: Vec::new() };
        let first = log.sample(Instant::now())?;
        log.samples.push_back(first);
        Ok(log)
    }

    /// Called after each turn of the loop: ends a stall that is over, and keeps an account of what the scheduler did.
    pub(crate) fn tick(&mut self) -> Result<()> {
        if self.current.as_ref().is_some_and(|open| open.recovered) {
            self.close()?;
        }
        let now = Instant::now();
        if self.samples.back().is_none_or(|last| now - last.at >= SAMPLE_INTERVAL) {
            let sample = self.sample(now)?;
            self.samples.push_back(sample);
            if self.samples.len() > SAMPLES_KEPT {
                self.samples.pop_front();
            }
        }
        Ok(())
    }

    /// Takes note of an answered batch. A stall is over when batches come in time again that were due well after it:
    /// those of other connections may be in time in the midst of it.
    pub(crate) fn note(&mut self, done: Done) {
        let late = done.latency >= LATE;
        match &mut self.current {
            Some(open) if late => {
                open.stall.worst = open.stall.worst.max(done.latency);
                open.last_late = open.last_late.max(done.due);
                open.recovered = false;
            }
            Some(open) => open.recovered |= done.due > open.last_late + LATE,
            None if late => {
                let (batch, worst, none) = (done.number, done.latency, Duration::ZERO);
                let stall = Stall { batch, worst, descheduled: none, server_ran: none };
                self.current = Some(Open { began: done.due, last_late: done.due, recovered: false, stall });
            }
            None => {}
        }
    }

    /// All stalls, in the order in which they happened.
    pub(crate) fn finish(mut self) -> Result<Vec<Stall>> {
        self.close()?;
        Ok(self.finished)
    }

    fn close(&mut self) -> Result<()> {
        if let Some(Open { began, mut stall, .. }) = self.current.take() {
            let now = self.sample(Instant::now())?;
            let before = self.samples.iter().rev().find(|sample| sample.at <= began).or(self.samples.front());
            let before = before.expect("the first sample is taken when the log begins");
            stall.descheduled = now.waited - before.waited;
            stall.server_ran = now.server_ran - before.server_ran;
            self.finished.push(stall);
        }
        Ok(())
    }

    fn sample(&mut self, at: Instant) -> Result<Sample> {
        let (server, own) = (self.server.read()?, self.own.read()?);
        Ok(Sample { at, waited: server.waited + own.waited, server_ran: server.ran })
    }
}
