//! `cargo xtask corpus`: makes the files that the tests of persistence load, with the real servers, and the text of what
//! each holds, as its server shows it.

use std::fs;

use anyhow::ensure;

use super::{dataset, servers, view};
use crate::options::Options;
use crate::workspace;

const CORPUS: &str = "crates/persistence/tests/corpus";

/// What a file is made with: a name, and directives of the server.
const VARIANTS: [(&str, &[&str]); 5] = [
    ("packed", &[]),
    ("large", &[]),
    ("plain", &["--rdbcompression", "no", "--rdbchecksum", "no"]),
    ("lfu", &["--maxmemory", "1gb", "--maxmemory-policy", "allkeys-lfu"]),
    ("lru", &["--maxmemory", "1gb", "--maxmemory-policy", "allkeys-lru"]),
];
/// Makes all files.
pub(crate) fn run(args: Vec<String>) -> anyhow::Result<()> {
    let mut options = Options::new(args);
    let binaries = servers::real(&mut options)?;
    ensure!(options.rest()?.is_empty(), "usage: cargo xtask corpus [--peers DIR] [--older BIN]");
    let directory = workspace::root().join(CORPUS);
    fs::create_dir_all(&directory)?;
    for binary in &binaries {
        for (variant, directives) in VARIANTS {
            let mut args = [directives, &["--dbfilename", "it.rdb"]].concat();
            if variant == "large" {
                args.extend(dataset::large(binary.kind));
            }
            let server = binary.start(&args, None)?;
            let mut client = server.connect()?;
            if variant == "large" {
                dataset::make_large_elements(&mut client)?;
            }
            dataset::fill(&mut client, binary.kind)?;
            let text = view::dataset(&mut client, binary.kind.has_field_deadlines())?;
            let saved = client.call(&["SAVE"])?;
            ensure!(saved.starts_with(b"+OK"), "{}", saved.escape_ascii());
            let name = format!("{}-{variant}", binary.kind.name());
            fs::copy(server.directory().join("it.rdb"), directory.join(format!("{name}.rdb")))?;
            fs::write(directory.join(format!("{name}.txt")), text.join("\n") + "\n")?;
            println!("{name}: {} keys", text.len());
        }
    }
    Ok(())
}
