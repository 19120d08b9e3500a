//! `cargo xtask record`: plays the cases against the real servers and writes their recordings.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use carnelian_testkit::recording::Recording;
use carnelian_testkit::script::Script;
use carnelian_testkit::{Peer, Peers, ServerOptions, play};

use crate::options::Options;
use crate::workspace;

const CASES: &str = "bins/server/tests/cases";

/// Records the cases whose path contains one of the arguments; all, if there is none.
pub(crate) fn run(args: Vec<String>) -> anyhow::Result<()> {
    let mut options = Options::new(args);
    let peers = options.peers()?;
    let wanted = options.rest()?;
    let mut commands = 0;
    for path in case_files(&workspace::root().join(CASES))? {
        let name = path.to_string_lossy();
        if wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str())) {
            commands += record(&peers, &path).with_context(|| name.into_owned())?;
        }
    }
    println!("recorded {commands} commands");
    Ok(())
}

fn case_files(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).with_context(|| directory.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(case_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "case") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn record(peers: &Peers, path: &Path) -> anyhow::Result<usize> {
    let script = Script::parse(&fs::read_to_string(path)?)?;
    let mut recording = Recording::of_steps(script.steps.iter().map(|step| step.text.as_str()));
    for peer in Peer::ALL {
        for &protocol in &script.protocols {
            let server = ServerOptions::new(peers.binary(peer)).args(&script.server_args).start()?;
            let replies = play::play(&script, server.address(), protocol)
                .with_context(|| format!("{peer:?}, RESP{protocol}"))?;
            recording.store(peer, protocol, &replies);
        }
    }
    fs::write(path.with_extension("replies"), recording.to_text())?;
    Ok(script.steps.len())
}
