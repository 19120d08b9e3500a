//! CONFIG REWRITE's file: replaced as a whole or not at all.
#![expect(clippy::disallowed_methods, reason = "the configuration file is written here")]

use carnelian_config::{Config, rewrite as config_rewrite};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

/// Rewrites the file at `path` from the values in force. A crash at any moment leaves the old file or the new
/// one.
pub(crate) fn rewrite(path: &Path, config: &Config) -> io::Result<()> {
    let old = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let new = config_rewrite::rewrite(config, &old, None);
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(&new)?;
    if let Ok(meta) = fs::metadata(path) {
        fs::set_permissions(file.path(), meta.permissions())?;
    }
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_stay_and_a_missing_folder_is_an_error() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("carnelian.conf");
        fs::write(&path, "# mine\nmaxclients 77\n").expect("written");
        let mut config = Config::new();
        let maxclients = carnelian_config::Directive::named("maxclients");
        config.assign(maxclients, &[b"88"]).expect("a number");
        rewrite(&path, &config).expect("rewritten");
        let text = fs::read_to_string(&path).expect("readable");
        assert!(text.starts_with("# mine\nmaxclients 88\n"), "{text}");
        assert!(rewrite(&dir.path().join("absent/file"), &config).is_err());
    }
}
