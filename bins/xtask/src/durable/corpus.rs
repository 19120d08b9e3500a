//! `cargo xtask corpus`: makes the files that the tests of persistence load, with the real servers, and the text of what
//! each holds, as its server shows it.

use std::fs;

use anyhow::ensure;

use super::servers::{self, Kind};
use super::{dataset, view};
use crate::options::Options;
use crate::workspace;

const CORPUS: &str = "crates/persistence/tests/corpus";

/// What a file is made with: a name, and directives of the server.
const VARIANTS: [(&str, &[&str]); 5] = [
    ("packed", &[]),
    (
        "large",
        &[
            "--hash-max-listpack-entries",
            "2",
            "--zset-max-listpack-entries",
            "2",
            "--set-max-intset-entries",
            "3",
            "--list-max-listpack-size",
            "3",
            "--stream-node-max-entries",
            "2",
        ],
    ),
    ("plain", &["--rdbcompression", "no", "--rdbchecksum", "no"]),
    ("lfu", &["--maxmemory", "1gb", "--maxmemory-policy", "allkeys-lfu"]),
    ("lru", &["--maxmemory", "1gb", "--maxmemory-policy", "allkeys-lru"]),
];
/// Sets in listpacks are younger than the oldest server.
const YOUNGER: [&str; 2] = ["--set-max-listpack-entries", "2"];

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
            if variant == "large" && binary.kind != Kind::Redis70 {
                args.extend(YOUNGER);
            }
            let server = binary.start(&args, None)?;
            let mut client = server.connect()?;
            if variant == "large" {
                // Large elements of lists get nodes of their own.
                client.call(&["DEBUG", "QUICKLIST-PACKED-THRESHOLD", "100b"])?;
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
