//! Hashes against a model under random operations; the fuzz target `hash` runs the same.

#[path = "models/hash.rs"]
mod model;

use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn hashes_equal_the_model(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
        model::run(&bytes);
    }
}
