//! Intsets against `BTreeSet`: shared by a property test and a fuzz target. Operations are read from bytes; when these
//! end, so does the run.

use carnelian_keyspace::encoding::intset::{Intset, IntsetRef};
use std::collections::BTreeSet;

/// Runs the operations that `bytes` stand for; the same bytes are also looked at as an intset.
pub(crate) fn run(bytes: &[u8]) {
    if let Ok(set) = IntsetRef::validate(bytes) {
        assert!(set.iter().all(|v| set.contains(v)));
    }
    let (mut set, mut model) = (Intset::new(), BTreeSet::new());
    for chunk in bytes.chunks_exact(4) {
        // The first byte's high bits choose how wide the integer is.
        let v = i64::from(i16::from_le_bytes([chunk[1], chunk[2]])) << (chunk[0] >> 2);
        assert_eq!(set.contains(v), model.contains(&v));
        match chunk[0] % 4 {
            0..=2 => assert_eq!(set.insert(v), model.insert(v)),
            _ => assert_eq!(set.remove(v), model.remove(&v)),
        }
        assert_eq!(set.len(), model.len());
        if chunk[3] == 0 && !set.is_empty() {
            let index = usize::from(chunk[1]) % set.len();
            assert!(model.remove(&set.view().get(index)));
            set.remove_at(index);
        }
    }
    let view = IntsetRef::validate(set.view().bytes()).expect("it was built by its own rules");
    assert!(view.iter().eq(model.iter().copied()));
    assert!(view.iter().rev().eq(model.iter().rev().copied()));
    assert!(model.iter().enumerate().all(|(i, v)| view.get(i) == *v && view.search(*v) == Ok(i)));
}
