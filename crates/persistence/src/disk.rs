//! Files as the rest of this crate sees them: a trait with the few operations that storing a dataset takes, and the
//! real disk. Knows nothing of what is in the files.
//!
//! A file's bytes survive a power cut from [`DiskFile::sync`] on, its name, or the new name after a rename, from
//! [`Disk::sync_dir`] on. [`FaultyDisk`] is a disk in memory that takes this literally.
#![expect(clippy::disallowed_methods, reason = "files are opened here")]

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;

mod faulty;

pub use faulty::FaultyDisk;

/// A place for files.
pub trait Disk: Send + Sync {
    /// Creates a file, or empties it if there is one, for writing.
    ///
    /// # Errors
    /// Those of the system.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Opens a file for writing at its end. It is created if there is none.
    ///
    /// # Errors
    /// Those of the system.
    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Opens a file for reading from its beginning.
    ///
    /// # Errors
    /// Those of the system; [`ErrorKind::NotFound`] without the file.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Gives a file another name, in place of the file that has it.
    ///
    /// # Errors
    /// Those of the system.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// Those of the system; [`ErrorKind::NotFound`] without the file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory last: what was created, renamed and removed there.
    ///
    /// # Errors
    /// Those of the system.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// The names in a directory, in no particular order.
    ///
    /// # Errors
    /// Those of the system.
    fn list(&self, path: &Path) -> io::Result<Vec<OsString>>;

    /// Creates a directory unless it is there. Its parent is.
    ///
    /// # Errors
    /// Those of the system.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// The length of a file in bytes.
    ///
    /// # Errors
    /// Those of the system; [`ErrorKind::NotFound`] without the file.
    fn len(&self, path: &Path) -> io::Result<u64>;
}

/// An open file.
#[expect(clippy::len_without_is_empty, reason = "a length of zero is nothing special")]
pub trait DiskFile: Send {
    /// Reads the next bytes. Returns how many; zero at the end.
    ///
    /// # Errors
    /// Those of the system.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes all bytes.
    ///
    /// # Errors
    /// Those of the system. A part of the bytes may have been written: [`DiskFile::len`] tells.
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes last what was written (`fdatasync`).
    ///
    /// # Errors
    /// Those of the system. Nothing of what was written since the last call may be relied on then.
    fn sync(&mut self) -> io::Result<()>;

    /// Tells the system that nobody is going to read what is on disk: its memory may serve others. A hint.
    fn forget(&mut self) {}

    /// Cuts the file, or extends it with zeros.
    ///
    /// # Errors
    /// Those of the system.
    fn truncate(&mut self, len: u64) -> io::Result<()>;

    /// The file's length in bytes.
    ///
    /// # Errors
    /// Those of the system.
    fn len(&self) -> io::Result<u64>;
}

/// Reads until the buffer is full or the file ends; how many bytes that is.
///
/// # Errors
/// Those of [`DiskFile::read`].
pub fn fill(file: &mut dyn DiskFile, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..])? {
            0 => break,
            n => filled += n,
        }
    }
    Ok(filled)
}

/// The files of the system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(RealFile(File::create(path)?)))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(RealFile(File::options().append(true).create(true).open(path)?)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(RealFile(File::open(path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(named(path))?.sync_all()
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        fs::read_dir(named(path))?.map(|entry| Ok(entry?.file_name())).collect()
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        match fs::create_dir(path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            other => other,
        }
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        Ok(fs::metadata(path)?.len())
    }
}

/// The directory of a file without one is the current one.
fn named(directory: &Path) -> &Path {
    if directory.as_os_str().is_empty() { Path::new(".") } else { directory }
}

struct RealFile(File);

impl DiskFile for RealFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn forget(&mut self) {
        #[cfg(target_os = "linux")]
        if let Err(error) = rustix::fs::fadvise(&self.0, 0, None, rustix::fs::Advice::DontNeed) {
            log::debug!("The system keeps a file in memory: {error}");
        }
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    /// What both disks have to do alike, below a directory that is there.
    fn behaves(disk: &dyn Disk, dir: &Path) {
        let path = |name: &str| -> PathBuf { dir.join(name) };
        let all = |name: &str| {
            let mut file = disk.open(&path(name)).expect("opened");
            let mut bytes = vec![0; 100];
            let n = file.read(&mut bytes).expect("read");
            assert_eq!(file.read(&mut bytes[n..]).expect("read"), 0);
            bytes.truncate(n);
            bytes
        };
        let kind = |result: io::Result<()>| result.map_err(|error| error.kind());
        let missing = Err(ErrorKind::NotFound);
        assert_eq!(disk.open(&path("a")).map(|_| ()).map_err(|error| error.kind()), missing);
        assert_eq!(kind(disk.remove(&path("a"))), missing);
        assert_eq!(kind(disk.rename(&path("a"), &path("b"))), missing);
        assert_eq!(kind(disk.len(&path("a")).map(|_| ())), missing);
        assert_eq!(kind(disk.create(&path("no/a")).map(|_| ())), missing);
        assert_eq!(kind(disk.list(&path("no")).map(|_| ())), missing);

        let mut file = disk.create(&path("a")).expect("created");
        file.write_all(b"hello").expect("written");
        file.sync().expect("synced");
        assert_eq!(file.len().expect("known"), 5);
        assert_eq!(all("a"), b"hello");
        drop(disk.create(&path("a")).expect("created again"));
        assert_eq!(disk.len(&path("a")).expect("known"), 0);

        let mut file = disk.append(&path("a")).expect("opened");
        file.write_all(b"one").expect("written");
        drop(file);
        let mut file = disk.append(&path("a")).expect("opened");
        file.write_all(b" two").expect("written");
        file.truncate(5).expect("cut");
        file.write_all(b"en").expect("written");
        assert_eq!(all("a"), b"one ten");

        drop(disk.append(&path("b")).expect("created"));
        disk.rename(&path("a"), &path("b")).expect("renamed");
        assert_eq!(all("b"), b"one ten");
        disk.create_dir(&path("sub")).expect("created");
        disk.create_dir(&path("sub")).expect("there is one");
        assert_eq!(kind(disk.create_dir(&path("b"))), Err(ErrorKind::AlreadyExists));
        drop(disk.create(&path("sub/c")).expect("created"));
        disk.sync_dir(dir).expect("synced");
        let mut names = disk.list(dir).expect("listed");
        names.sort();
        assert_eq!(names, ["b", "sub"]);
        assert_eq!(disk.list(&path("sub")).expect("listed"), ["c"]);
        disk.remove(&path("b")).expect("removed");
        assert_eq!(kind(disk.remove(&path("b"))), missing);
    }

    #[test]
    fn the_real_disk_behaves() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        behaves(&RealDisk, dir.path());
    }

    #[test]
    fn the_faulty_disk_behaves_as_long_as_there_are_no_faults() {
        let disk = FaultyDisk::new(1);
        behaves(&disk, Path::new(""));
        disk.create_dir(Path::new("deep")).expect("created");
        behaves(&disk, Path::new("deep"));
    }

    #[test]
    fn a_file_without_a_directory_is_in_the_current_one() {
        RealDisk.sync_dir(Path::new("")).expect("synced");
        assert!(!RealDisk.list(Path::new("")).expect("listed").is_empty());
    }
}
