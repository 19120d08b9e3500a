//! The order-statistics tree against a sorted vector: shared by a property test and a fuzz target. Operations are
//! read from bytes; when these end, so does the run.

use carnelian_keyspace::encoding::ordered::{Handle, Ordered, Probe};
use std::ops::ControlFlow;

/// Values that differ in their low bits only have the same prefix.
const TIES: u32 = 4;

/// The place of a value. Handles are the values themselves.
struct Place(u64);

impl Probe for Place {
    fn by_prefix(&self, prefix: u64) -> Option<bool> {
        (prefix != self.0 >> TIES).then_some(prefix < self.0 >> TIES)
    }

    fn by_handle(&self, handle: Handle) -> bool {
        handle < self.0
    }

    fn prefetch(&self, _handle: Handle) {}
}

fn prefix(handle: Handle) -> u64 {
    handle >> TIES
}

struct Run {
    tree: Ordered,
    model: Vec<u64>,
    /// Where ascending and descending inserts go on.
    next: u64,
}

/// Plays operations.
///
/// # Panics
/// If the tree differs from the vector.
pub(crate) fn run(data: &[u8]) {
    let mut run = Run { tree: Ordered::new(), model: Vec::new(), next: 1 << 20 };
    for op in data.chunks_exact(3) {
        let value = u64::from(op[1]) << 8 | u64::from(op[2]);
        match op[0] % 8 {
            0 | 1 => run.insert(value),
            2 => run.burst(value, |i| i * 7 % 65_536),
            3 => run.burst(value, |i| i),
            4 => run.burst(value, |i| (1 << 18) - i),
            5 => run.remove(value),
            6 => (0..value % 100).for_each(|i| run.remove(value.wrapping_mul(i))),
            _ => run.visit(value),
        }
        assert_eq!(run.tree.len(), run.model.len());
    }
    run.visit(0);
    for (rank, value) in run.model.iter().enumerate().step_by(7) {
        assert_eq!(run.tree.get(rank), Some(*value));
        assert_eq!(run.tree.rank(&Place(*value)), rank);
    }
    while !run.model.is_empty() {
        run.remove(run.next);
        run.next = run.next.wrapping_mul(31).wrapping_add(7);
    }
    assert!(run.tree.is_empty());
}

impl Run {
    fn insert(&mut self, value: u64) {
        let at = self.model.partition_point(|other| *other < value);
        assert_eq!(self.tree.rank(&Place(value)), at);
        if self.model.get(at) != Some(&value) {
            self.model.insert(at, value);
            self.tree.insert(at, value, &prefix);
        }
    }

    /// Inserts many values, the `i`-th of which is as told.
    fn burst(&mut self, n: u64, value: impl Fn(u64) -> u64) {
        let from = self.next - (1 << 20);
        (from..from + n % 200).for_each(|i| self.insert(value(i % 65_536)));
        self.next += n % 200;
    }

    fn remove(&mut self, at: u64) {
        if !self.model.is_empty() {
            let at = at as usize % self.model.len();
            assert_eq!(self.tree.remove(at, &prefix), self.model.remove(at));
        }
    }

    /// Visits from a rank on, and back to it.
    fn visit(&self, from: u64) {
        let from = from as usize % (self.model.len() + 1);
        let mut seen = Vec::new();
        self.tree.visit(from..usize::MAX, &mut |run| {
            seen.extend(run.iter().map(|slot| slot.handle()));
            ControlFlow::Continue(())
        });
        assert_eq!(seen, self.model[from..]);
        seen.clear();
        self.tree.visit_back(0..from, &mut |run| {
            seen.extend(run.iter().rev().map(|slot| slot.handle()));
            ControlFlow::Continue(())
        });
        seen.reverse();
        assert_eq!(seen, self.model[..from]);
        assert_eq!(self.tree.get(self.model.len()), None);
    }
}
