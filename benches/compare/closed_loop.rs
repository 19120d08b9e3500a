//! The closed loop: each connection sends its next batch when the previous one is answered. Tells what a server can do
//! at most; its latencies would mean nothing, so it keeps none.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use crate::sockets::Sockets;
use crate::wire::{Reply, Requests};

/// Without any reply for so long, the server is taken for dead.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a run achieved.
#[derive(Clone, Copy)]
pub(crate) struct Achieved {
    /// Requests answered.
    pub(crate) requests: u64,
    /// From the first request to the last reply.
    pub(crate) elapsed: Duration,
}

impl Achieved {
    /// Requests per second.
    pub(crate) fn rate(&self) -> f64 {
        self.requests as f64 / self.elapsed.as_secs_f64()
    }
}

struct Progress {
    next: usize,
    missing: usize,
}

/// Sends random slices of `requests` over all connections for a time, `pipeline` requests at once.
pub(crate) fn run(
    sockets: &mut Sockets,
    requests: &Requests,
    pipeline: usize,
    time: Duration,
) -> Result<Achieved> {
    let batch_bytes = pipeline * requests.reply.bytes;
    let step = requests.len() / sockets.len();
    let mut progress: Vec<Progress> =
        (0..sockets.len()).map(|i| Progress { next: i * step, missing: batch_bytes }).collect();
    let began = Instant::now();
    for (index, progress) in progress.iter_mut().enumerate() {
        sockets.send(index, take(requests, pipeline, progress))?;
    }
    let (mut busy, mut batches) = (sockets.len(), 0);
    let mut now = began;
    while busy > 0 {
        let ready = sockets.wait(PATIENCE)?;
        ensure!(ready > 0, "no reply for {PATIENCE:?}");
        now = Instant::now();
        for nth in 0..ready {
            let (index, input) = sockets.read(nth)?;
            let progress = &mut progress[index];
            check(input, progress.missing == batch_bytes, progress.missing, requests.reply)?;
            progress.missing -= input.len();
            if progress.missing == 0 {
                batches += 1;
                if now - began < time {
                    progress.missing = batch_bytes;
                    sockets.send(index, take(requests, pipeline, progress))?;
                } else {
                    busy -= 1;
                }
            }
        }
    }
    Ok(Achieved { requests: batches * pipeline as u64, elapsed: now - began })
}

fn take<'a>(requests: &'a Requests, pipeline: usize, progress: &mut Progress) -> &'a [u8] {
    if progress.next + pipeline > requests.len() {
        progress.next = 0;
    }
    let slice = requests.slice(progress.next, pipeline);
    progress.next += pipeline;
    slice
}

/// Fails if input cannot belong to the expected replies.
pub(crate) fn check(input: &[u8], at_start: bool, missing: usize, expected: Reply) -> Result<()> {
    let plausible =
        input.len() <= missing && (!at_start || input.first().is_none_or(|first| *first == expected.first));
    if !plausible {
        bail!("unexpected reply: {:?}", String::from_utf8_lossy(&input[..input.len().min(120)]));
    }
    Ok(())
}
