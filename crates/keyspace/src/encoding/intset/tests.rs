use super::{Intset, IntsetRef};
use crate::encoding::Malformed;
use proptest::prelude::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The bytes were read from `DUMP` of a Redis 8.2.3.
#[test]
fn the_bytes_are_those_of_redis() {
    let check = |values: &[i64], expect: &str| {
        let mut set = Intset::new();
        values.iter().for_each(|v| assert!(set.insert(*v)));
        assert_eq!(hex(&set.into_bytes()), expect);
    };
    check(&[5, 1, 300], "0200000003000000010005002c01");
    check(&[5, 70_000, -2], "0400000003000000feffffff0500000070110100");
    check(
        &[1 << 40, -7, 3, 70_000],
        "0800000004000000f9ffffffffffffff030000000000000070110100000000000000000000010000",
    );
}

#[test]
fn malformed_bytes_are_told_apart() {
    let bad: [&[u8]; 7] = [
        b"",
        &[2, 0, 0, 0, 0, 0, 0],
        &[3, 0, 0, 0, 0, 0, 0, 0],
        &[2, 1, 0, 0, 0, 0, 0, 0],
        &[2, 0, 0, 0, 1, 0, 0, 0],
        &[2, 0, 0, 0, 2, 0, 0, 0, 1, 0, 1, 0],
        &[2, 0, 0, 0, 255, 255, 255, 255, 1, 0],
    ];
    for bytes in bad {
        assert_eq!(IntsetRef::validate(bytes).map(|s| s.len()), Err(Malformed), "{bytes:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_accepted_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        if let Ok(set) = IntsetRef::validate(&bytes) {
            prop_assert!(set.iter().all(|v| set.contains(v)));
        }
    }
}
