//! Where the repository is and which files belong to it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("this crate lies two folders below the root")
        .to_owned()
}

/// Runs a command in the root and returns what it printed.
pub(crate) fn output_of(program: &str, args: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program).args(args).current_dir(root()).output().context(program.to_owned())?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} {}: {errors}", args.join(" "));
    Ok(String::from_utf8(output.stdout)?)
}

/// The files that are, or are about to be, under version control; relative to the root, sorted.
pub(crate) fn files() -> anyhow::Result<Vec<String>> {
    let listing = output_of("git", &["ls-files", "--cached", "--others", "--exclude-standard"])?;
    let mut files: Vec<String> =
        listing.lines().map(str::to_owned).filter(|file| root().join(file).is_file()).collect();
    files.sort();
    files.dedup();
    Ok(files)
}
