//! Sorted sets, and the tree they stand in, against std models.

#[path = "models/ordered.rs"]
mod ordered;
#[path = "models/zset.rs"]
mod zset;

use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_tree_is_a_sorted_vector(data in prop::collection::vec(any::<u8>(), 0..600)) {
        ordered::run(&data);
    }

    #[test]
    fn a_sorted_set_is_a_sorted_map(data in prop::collection::vec(any::<u8>(), 0..800)) {
        zset::run(&data);
    }
}
