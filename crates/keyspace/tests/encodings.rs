//! Listpacks and intsets against models under random operations; the fuzz targets of these names run the same.

#[path = "models/intset.rs"]
mod intset;
#[path = "models/listpack.rs"]
mod listpack;

use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 100 }))]

    #[test]
    fn a_listpack_is_a_vector(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        listpack::run(&bytes);
    }

    #[test]
    fn an_intset_is_a_sorted_set(bytes in prop::collection::vec(any::<u8>(), 0..800)) {
        intset::run(&bytes);
    }
}
