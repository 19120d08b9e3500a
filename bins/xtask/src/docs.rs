//! Documents that are generated from tables in the code.

use std::fs;

use anyhow::Context;

use crate::workspace;

/// Path and text of every generated document.
pub(crate) fn all() -> Vec<(&'static str, String)> {
    vec![
        ("docs/commands.md", carnelian_commands::markdown()),
        ("docs/config.md", carnelian_config::docs::markdown()),
    ]
}

/// Writes them.
pub(crate) fn write() -> anyhow::Result<()> {
    for (path, text) in all() {
        fs::write(workspace::root().join(path), text).context(path)?;
    }
    Ok(())
}
