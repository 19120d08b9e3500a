//! Lists against a model under random operations; the fuzz target `list` runs the same.

#[path = "models/list.rs"]
mod model;

use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
    #[test]
    fn lists_equal_the_model(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        model::run(&bytes);
    }
}
