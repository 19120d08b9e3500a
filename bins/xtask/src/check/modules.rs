//! Source files that no module tree reaches.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{Repository, text_of};
use crate::workspace;

pub(crate) fn unreached(repository: &Repository) -> anyhow::Result<Vec<String>> {
    let targets = |package: &serde_json::Value| package["targets"].as_array().cloned().unwrap_or_default();
    let mut reached = BTreeSet::new();
    for target in repository.packages.iter().flat_map(targets) {
        reach(Path::new(text_of(&target, "src_path")), true, &mut reached)?;
    }
    let root = workspace::root();
    Ok(repository
        .sources()
        .filter(|(path, _)| !reached.contains(&root.join(path)))
        .map(|(path, _)| format!("{path}: no module tree reaches it"))
        .collect())
}

fn reach(file: &Path, is_root: bool, reached: &mut BTreeSet<PathBuf>) -> anyhow::Result<()> {
    if !reached.insert(file.to_owned()) {
        return Ok(());
    }
    let owns_directory = is_root || file.file_name().is_some_and(|name| name == "mod.rs");
    let children = if owns_directory { file.with_file_name("") } else { file.with_extension("") };
    let text = std::fs::read_to_string(file)?;
    for module in declared(&text) {
        let candidates = match module {
            Module::Named(name) => {
                vec![children.join(format!("{name}.rs")), children.join(name).join("mod.rs")]
            }
            Module::At(path) => vec![file.with_file_name(path)],
        };
        for candidate in candidates.iter().filter(|candidate| candidate.is_file()) {
            reach(candidate, false, reached)?;
        }
    }
    Ok(())
}

#[derive(Debug, PartialEq, Eq)]
enum Module<'a> {
    Named(&'a str),
    /// With a `path` attribute.
    At(&'a str),
}

/// The modules that a file declares as files of their own.
fn declared(text: &str) -> Vec<Module<'_>> {
    let mut modules = Vec::new();
    let mut path = None;
    for line in text.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("#[path = \"") {
            path = rest.split('"').next();
        } else if let Some(declaration) = line.strip_suffix(';') {
            let after_visibility = declaration.rsplit_once(") ").map_or(declaration, |(_, after)| after);
            let after_visibility = after_visibility.strip_prefix("pub ").unwrap_or(after_visibility);
            if let Some(name) = after_visibility.strip_prefix("mod ") {
                modules.push(path.take().map_or(Module::Named(name), Module::At));
            }
        }
    }
    modules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_declarations() {
        let text =
            "mod a;\npub mod b;\npub(crate) mod c;\nmod d {\n}\n#[path = \"x/e.rs\"]\nmod e;\nuse f;\n";
        let wanted = [Module::Named("a"), Module::Named("b"), Module::Named("c"), Module::At("x/e.rs")];
        assert_eq!(declared(text), wanted);
    }
}
