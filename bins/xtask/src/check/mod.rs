//! `cargo xtask check`: what neither rustc nor clippy checks.

mod edges;
mod modules;
mod names;
mod text;

use std::fs;

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use crate::workspace;

/// A check returns a line for each thing that is wrong.
type Check = fn(&Repository) -> anyhow::Result<Vec<String>>;

const CHECKS: [(&str, Check); 10] = [
    ("dependency edges are those of docs/architecture.md", edges::differ_from_table),
    ("every source file belongs to a module tree", modules::unreached),
    ("every package has its README, license and description", incomplete_packages),
    ("disallowed calls only where they are allowed", text::allowances),
    ("unsafe only where it is allowed", text::unsafe_code),
    ("no dead code is kept alive", text::kept_dead_code),
    ("ignored tests say why", text::unexplained_ignores),
    ("no path of a developer's machine", text::machine_paths),
    ("a command's name appears in one source file", names::repeated),
    ("generated documents are up to date", stale_documents),
];

/// What the checks look at.
pub(crate) struct Repository {
    /// The text files under version control: path and content.
    files: Vec<(String, String)>,
    /// The packages of `cargo metadata`, of the workspace and of the packages outside it.
    packages: Vec<Value>,
}

/// Runs all checks; the first line of each failure goes with all of its findings.
pub(crate) fn run() -> anyhow::Result<()> {
    let repository = Repository::load()?;
    let mut failed = 0;
    for (name, check) in CHECKS {
        let findings = check(&repository).with_context(|| name.to_owned())?;
        println!("{} {name}", if findings.is_empty() { "ok    " } else { "FAILED" });
        findings.iter().for_each(|finding| println!("         {finding}"));
        failed += usize::from(!findings.is_empty());
    }
    ensure!(failed == 0, "{failed} checks failed");
    Ok(())
}

impl Repository {
    fn load() -> anyhow::Result<Self> {
        let mut files = Vec::new();
        for path in workspace::files()? {
            let bytes = fs::read(workspace::root().join(&path)).with_context(|| path.clone())?;
            // What is not text has no lines to check.
            if let Ok(text) = String::from_utf8(bytes) {
                files.push((path, text));
            }
        }
        let mut packages = Vec::new();
        for manifest in ["Cargo.toml", "benches/Cargo.toml", "fuzz/Cargo.toml"] {
            packages.extend(packages_of(manifest)?);
        }
        Ok(Self { files, packages })
    }

    /// The Rust sources.
    fn sources(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files
            .iter()
            .filter(|(path, _)| path.ends_with(".rs"))
            .map(|(path, text)| (path.as_str(), text.as_str()))
    }
}

fn packages_of(manifest: &str) -> anyhow::Result<Vec<Value>> {
    let arguments = ["metadata", "--no-deps", "--format-version", "1", "--manifest-path", manifest];
    let metadata: Value = serde_json::from_str(&workspace::output_of("cargo", &arguments)?)?;
    match &metadata["packages"] {
        Value::Array(packages) => Ok(packages.clone()),
        _ => bail!("cargo metadata lists no packages"),
    }
}

fn text_of<'a>(package: &'a Value, field: &str) -> &'a str {
    package[field].as_str().unwrap_or("")
}

fn incomplete_packages(repository: &Repository) -> anyhow::Result<Vec<String>> {
    let mut findings = Vec::new();
    for package in &repository.packages {
        let name = text_of(package, "name");
        let manifest = std::path::Path::new(text_of(package, "manifest_path"));
        if text_of(package, "license") != "MIT OR Apache-2.0" {
            findings.push(format!("{name}: license"));
        }
        if text_of(package, "description").len() < "A few words".len() {
            findings.push(format!("{name}: description"));
        }
        if !manifest.with_file_name("README.md").is_file() {
            findings.push(format!("{name}: README.md"));
        }
    }
    Ok(findings)
}

fn stale_documents(repository: &Repository) -> anyhow::Result<Vec<String>> {
    let is_fresh = |path: &str, text: &str| repository.files.iter().any(|(p, t)| p == path && t == text);
    Ok(crate::docs::all()
        .into_iter()
        .filter(|(path, text)| !is_fresh(path, text))
        .map(|(path, _)| format!("{path}: run `cargo xtask docs`"))
        .collect())
}
