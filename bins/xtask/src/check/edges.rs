//! The dependencies between the workspace's packages, beside the reviewed table in docs/architecture.md: a fenced
//! block marked `edges`, with a line `package -> dependency dependency` for each package.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;

use super::{Repository, text_of};

const TABLE: &str = "docs/architecture.md";

type Edges = BTreeMap<String, BTreeSet<String>>;

pub(crate) fn differ_from_table(repository: &Repository) -> anyhow::Result<Vec<String>> {
    let (_, text) = repository.files.iter().find(|(path, _)| path == TABLE).context(TABLE)?;
    Ok(differences(&table(text)?, &actual(repository)))
}

fn table(text: &str) -> anyhow::Result<Edges> {
    let (_, rest) = text.split_once("```edges\n").context("no block marked `edges`")?;
    let (block, _) = rest.split_once("```").context("the block does not end")?;
    let mut edges = Edges::new();
    for line in block.lines().filter(|line| !line.trim().is_empty()) {
        let (package, dependencies) = line.split_once("->").with_context(|| line.to_owned())?;
        let dependencies = dependencies.split_whitespace().map(str::to_owned).collect();
        edges.insert(package.trim().to_owned(), dependencies);
    }
    Ok(edges)
}

/// Normal and build dependencies; tests may use anything.
fn actual(repository: &Repository) -> Edges {
    let names: BTreeSet<&str> = repository.packages.iter().map(|package| text_of(package, "name")).collect();
    let is_member = |package: &&serde_json::Value| {
        let manifest = text_of(package, "manifest_path");
        manifest.contains("/crates/") || manifest.contains("/bins/")
    };
    let dependencies = |package: &serde_json::Value| {
        let listed = package["dependencies"].as_array().map_or(&[][..], Vec::as_slice);
        listed
            .iter()
            .filter(|dependency| text_of(dependency, "kind") != "dev")
            .map(|dependency| text_of(dependency, "name"))
            .filter(|name| names.contains(name))
            .map(str::to_owned)
            .collect()
    };
    repository
        .packages
        .iter()
        .filter(is_member)
        .map(|package| (text_of(package, "name").to_owned(), dependencies(package)))
        .collect()
}

fn differences(table: &Edges, actual: &Edges) -> Vec<String> {
    let packages: BTreeSet<&String> = table.keys().chain(actual.keys()).collect();
    let line = |edges: Option<&BTreeSet<String>>| match edges {
        Some(names) => names.iter().map(String::as_str).collect::<Vec<_>>().join(" "),
        None => "(absent)".to_owned(),
    };
    packages
        .into_iter()
        .filter(|package| table.get(*package) != actual.get(*package))
        .map(|package| {
            format!(
                "{package}: the table says `{}`, the manifest `{}`",
                line(table.get(package)),
                line(actual.get(package))
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_table_and_finds_what_differs() {
        let listed = table("x\n```edges\na -> b c\nb ->\n```\ny").expect("a table");
        let real = table("```edges\na -> b\nb ->\nc ->\n```").expect("a table");
        assert_eq!(differences(&listed, &listed), [""; 0]);
        assert_eq!(
            differences(&listed, &real),
            ["a: the table says `b c`, the manifest `b`", "c: the table says `(absent)`, the manifest ``"]
        );
    }
}
