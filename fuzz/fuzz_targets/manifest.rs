//! Any text is refused as a manifest, with a line that is in it, or becomes one that is written and read again as itself.
#![no_main]

use carnelian_persistence::aof::Manifest;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    match Manifest::parse(text) {
        Ok(manifest) if manifest == Manifest::default() => {}
        Ok(manifest) => {
            // The longest names do not fit into a line once they are quoted.
            let Ok(again) = Manifest::parse(&manifest.to_text()) else {
                assert!(text.len() > 300, "what is written is refused");
                return;
            };
            assert_eq!(manifest, again);
        }
        Err(error) => assert!(error.offset <= text.len()),
    }
});
