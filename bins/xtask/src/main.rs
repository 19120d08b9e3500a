//! `cargo xtask`: the repository's own tool. Never part of the server.

#![expect(clippy::disallowed_methods, reason = "a tool reads files, measures time and ends processes itself")]

mod check;
mod diff;
mod docs;
mod durable;
mod effects;
mod options;
mod record;
mod workspace;

use std::process::ExitCode;

use anyhow::bail;

const USAGE: &str = "usage: cargo xtask <check | docs | record [CASE...] | diff [OPTION...] | effects [OPTION...] | \
                     corpus | exchange | crash>";

fn main() -> ExitCode {
    match run(std::env::args().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(mut args: Vec<String>) -> anyhow::Result<()> {
    if args.is_empty() {
        bail!(USAGE);
    }
    match args.remove(0).as_str() {
        "check" => check::run(),
        "docs" => docs::write(),
        "record" => record::run(args),
        "diff" => diff::run(args),
        "corpus" => durable::corpus::run(args),
        "exchange" => durable::exchange::run(args),
        "crash" => durable::crash::run(args),
        "effects" => effects::run(args),
        _ => bail!(USAGE),
    }
}
