//! `--name value` options of the subcommands.

use std::path::PathBuf;

use anyhow::{Context, bail};
use carnelian_testkit::Peers;

/// Arguments, taken apart one by one.
#[derive(Debug)]
pub(crate) struct Options {
    args: Vec<String>,
}

impl Options {
    pub(crate) fn new(args: Vec<String>) -> Self {
        Self { args }
    }

    /// Takes `--name value` out of the arguments.
    pub(crate) fn take(&mut self, name: &str) -> anyhow::Result<Option<String>> {
        let Some(at) = self.args.iter().position(|arg| arg == name) else { return Ok(None) };
        if at + 1 == self.args.len() {
            bail!("{name} needs a value");
        }
        self.args.remove(at);
        Ok(Some(self.args.remove(at)))
    }

    /// Takes `--name value` and parses the value, or answers the default.
    pub(crate) fn number(&mut self, name: &str, default: u64) -> anyhow::Result<u64> {
        match self.take(name)? {
            Some(text) => text.parse().with_context(|| format!("{name} {text}")),
            None => Ok(default),
        }
    }

    /// Takes `--peers DIR`, else looks where the environment says.
    pub(crate) fn peers(&mut self) -> anyhow::Result<Peers> {
        let found = match self.take("--peers")? {
            Some(directory) => Peers::at(&PathBuf::from(directory)),
            None => Peers::from_env(),
        };
        found.map_err(anyhow::Error::msg)
    }

    /// What is left: no option, or an unknown one.
    pub(crate) fn rest(self) -> anyhow::Result<Vec<String>> {
        match self.args.iter().find(|arg| arg.starts_with("--")) {
            Some(unknown) => bail!("unknown option {unknown}"),
            None => Ok(self.args),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Options;

    #[test]
    fn takes_options_apart() {
        let mut options = Options::new(["--seed", "7", "x", "--odd"].map(str::to_owned).to_vec());
        assert_eq!(options.number("--seed", 1).expect("a number"), 7);
        assert_eq!(options.number("--commands", 5).expect("the default"), 5);
        assert!(options.take("--odd").is_err());
        assert!(options.rest().is_err());
    }
}
