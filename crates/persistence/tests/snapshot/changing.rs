//! Snapshots of a keyspace that changes all the time.

use carnelian_persistence::rdb::{Format, WriteOptions};
use carnelian_persistence::snapshot::Access;

use super::render::picture;
use super::workload::{self, Workload};
use super::{Save, load};

/// What happened in a run.
#[derive(Default, Debug)]
struct Outcome {
    complete: u32,
    given_up: u32,
    opened: u64,
    /// Snapshots in which several collections were open at a time.
    crowded: u32,
}

/// Several snapshots in a row, each of which is compared with the moment at which it began.
fn run(seed: u64, outcome: &mut Outcome) {
    let (mut keyspace, mut workload) = (workload::keyspace(seed), Workload::new(seed));
    let fill = [100, 1000, 4000][workload.random.below(3) as usize];
    workload.fill(&mut keyspace, fill);
    // From never to many changes per step.
    let pace = [1, 3, 30][workload.random.below(3) as usize];
    for _ in 0..3 {
        let before = picture(&mut keyspace);
        let save = Save::begin(&mut keyspace, Access::Nothing);
        let gives_up = workload.once_in(5);
        loop {
            for _ in 0..workload.random.below(pace + 1) {
                workload.change(&mut keyspace);
            }
            if gives_up && workload.once_in(30) {
                keyspace.abort_snapshot();
            }
            let steps = workload.random.below(3) as usize;
            keyspace.step_snapshot(steps);
            if !keyspace.snapshot_active() {
                break;
            }
        }
        outcome.opened += save.seen().opened;
        outcome.crowded += u32::from(save.seen().most_open > 2);
        let format = if workload.once_in(2) { Format::Redis12 } else { Format::Valkey80 };
        match save.file(WriteOptions { format, ..WriteOptions::default() }) {
            Some(file) => {
                outcome.complete += 1;
                assert_eq!(picture(&mut load(&file)), before, "seed {seed}");
            }
            None => outcome.given_up += 1,
        }
        let more = workload.random.below(300) as usize;
        workload.fill(&mut keyspace, more);
    }
}

#[test]
fn a_snapshot_is_the_moment_at_which_it_began() {
    let seeds: u64 = std::env::var("SNAPSHOT_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(30);
    let mut outcome = Outcome::default();
    (0..seeds).for_each(|seed| run(seed, &mut outcome));
    println!("{outcome:?}");
    let Outcome { complete, given_up, opened, crowded } = outcome;
    assert!(complete > 0 && opened > 0 && (seeds < 30 || (given_up > 0 && crowded > 10)));
}
