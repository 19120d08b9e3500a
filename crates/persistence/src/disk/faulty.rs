//! A disk in memory for tests, with faults on request. Names and bytes are kept twice: as they are, and as they would
//! be found after a power cut.
#![expect(clippy::disallowed_methods, reason = "a slow disk is one that sleeps")]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::{Disk, DiskFile};

/// What Unix systems call a full disk.
const ENOSPC: i32 = 28;

/// The disk. Clones are the same disk; the empty path and `/` are there from the beginning.
#[derive(Clone)]
pub struct FaultyDisk {
    state: Arc<Mutex<State>>,
    /// The only era in which this clone is of use.
    era: Option<u64>,
}

struct State {
    random: u64,
    files: Vec<Bytes>,
    /// What names lead to.
    now: Names,
    lasting: Names,
    faults: Faults,
    operations: u64,
    /// Rises with every power cut. A file that was opened before is of no use, nor is what was mounted.
    era: u64,
}

#[derive(Clone, Default)]
struct Names {
    files: BTreeMap<PathBuf, usize>,
    directories: BTreeSet<PathBuf>,
}

#[derive(Default)]
struct Bytes {
    now: Vec<u8>,
    lasting: Vec<u8>,
    /// How many bytes at the beginning are surely the same in both.
    same: usize,
}

#[derive(Clone, Copy, Default)]
struct Faults {
    /// Operations that succeed before all fail.
    left: Option<u64>,
    /// Operations that succeed before one fails.
    once: Option<u64>,
    capacity: Option<u64>,
    reads: bool,
    short_reads: bool,
    sync_delay: Duration,
}

impl Bytes {
    fn truncate(&mut self, len: usize) {
        self.now.resize(len, 0);
        self.same = self.same.min(len);
    }

    fn sync(&mut self) {
        self.lasting.truncate(self.same);
        self.lasting.extend_from_slice(&self.now[self.same..]);
        self.same = self.now.len();
    }

    /// The bytes after a power cut: `kept` more than those which are surely the same.
    fn lose(&mut self, kept: Option<usize>) {
        if let Some(kept) = kept {
            self.now.truncate(self.same + kept);
            self.lasting.clone_from(&self.now);
        } else {
            self.now.clone_from(&self.lasting);
        }
        self.same = self.now.len();
    }
}

impl Names {
    fn children(&self, dir: &Path) -> Vec<OsString> {
        let paths = self.files.keys().chain(&self.directories);
        let inside = paths.filter(|path| path.parent() == Some(dir) && !path.as_os_str().is_empty());
        inside.filter_map(|path| path.file_name()).map(Into::into).collect()
    }

    /// Takes over the names of one directory.
    fn take_over(&mut self, dir: &Path, other: &Names) {
        let inside = |path: &Path| path.parent() == Some(dir);
        self.files.retain(|path, _| !inside(path));
        self.files.extend(other.files.iter().filter(|(p, _)| inside(p)).map(|(p, f)| (p.clone(), *f)));
        self.directories.retain(|path| !inside(path));
        self.directories.extend(other.directories.iter().filter(|p| inside(p)).cloned());
    }
}

impl State {
    /// xorshift64*
    fn below(&mut self, bound: usize) -> usize {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound.max(1)
    }

    /// Counts an operation that changes something; whether it may succeed.
    fn operate(&mut self) -> io::Result<()> {
        self.operations += 1;
        if let Some(left) = &mut self.faults.left {
            *left = left.checked_sub(1).ok_or_else(broken)?;
        }
        match &mut self.faults.once {
            Some(0) => {
                self.faults.once = None;
                Err(broken())
            }
            Some(n) => {
                *n -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn free(&self) -> usize {
        let used: usize = self.now.files.values().map(|file| self.files[*file].now.len()).sum();
        let capacity = self.faults.capacity.unwrap_or(u64::MAX);
        usize::try_from(capacity).unwrap_or(usize::MAX).saturating_sub(used)
    }

    fn file(&self, path: &Path) -> io::Result<usize> {
        self.now.files.get(path).copied().ok_or_else(missing)
    }

    fn check_parent(&self, path: &Path) -> io::Result<()> {
        match path.parent() {
            Some(dir) if !self.now.directories.contains(dir) => Err(missing()),
            _ => Ok(()),
        }
    }

    fn file_or_new(&mut self, path: &Path) -> io::Result<usize> {
        self.check_parent(path)?;
        if self.now.directories.contains(path) {
            return Err(ErrorKind::IsADirectory.into());
        }
        if let Some(file) = self.now.files.get(path) {
            return Ok(*file);
        }
        self.files.push(Bytes::default());
        self.now.files.insert(path.to_owned(), self.files.len() - 1);
        Ok(self.files.len() - 1)
    }

    /// Writes what fits; an error writes a part of it.
    fn write(&mut self, file: usize, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.operate() {
            let torn = self.below(bytes.len() + 1);
            self.files[file].now.extend_from_slice(&bytes[..torn]);
            return Err(error);
        }
        let fits = self.free().min(bytes.len());
        self.files[file].now.extend_from_slice(&bytes[..fits]);
        if fits < bytes.len() { Err(io::Error::from_raw_os_error(ENOSPC)) } else { Ok(()) }
    }
}

fn broken() -> io::Error {
    io::Error::other("Input/output error")
}

fn missing() -> io::Error {
    ErrorKind::NotFound.into()
}

impl FaultyDisk {
    /// An empty disk without faults. The seed decides how much of a failed write is written.
    pub fn new(seed: u64) -> Self {
        let names = Names {
            files: BTreeMap::new(),
            directories: [PathBuf::new(), PathBuf::from("/")].into_iter().collect(),
        };
        let state = State {
            random: seed ^ 0x9E37_79B9_7F4A_7C15 | 1,
            files: Vec::new(),
            now: names.clone(),
            lasting: names,
            faults: Faults::default(),
            operations: 0,
            era: 0,
        };
        FaultyDisk { state: Arc::new(Mutex::new(state)), era: None }
    }

    /// The disk as a process sees it. With the next power cut the process ends, with all its threads: what they still try
    /// fails.
    #[must_use]
    pub fn mounted(&self) -> FaultyDisk {
        FaultyDisk { state: Arc::clone(&self.state), era: Some(self.state().era) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics with the lock held")
    }

    /// The state, if the power has not failed since this was mounted.
    fn live(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.state();
        if self.era.is_none_or(|era| era == state.era) { Ok(state) } else { Err(broken()) }
    }

    /// Operations so far that change something: all but reading, listing and lengths.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// After `n` more such operations every one fails; a failing write writes a part.
    pub fn fail_after(&self, n: u64) {
        self.state().faults.left = Some(n);
    }

    /// After `n` more such operations one fails.
    pub fn fail_once_after(&self, n: u64) {
        self.state().faults.once = Some(n);
    }

    /// Every read fails.
    pub fn fail_reads(&self) {
        self.state().faults.reads = true;
    }

    /// Reads return fewer bytes than were asked for.
    pub fn shorten_reads(&self) {
        self.state().faults.short_reads = true;
    }

    /// There is room for so many bytes in all files together.
    pub fn set_capacity(&self, bytes: u64) {
        self.state().faults.capacity = Some(bytes);
    }

    /// Each sync of a file takes so long.
    pub fn set_sync_delay(&self, delay: Duration) {
        self.state().faults.sync_delay = delay;
    }

    /// Ends all faults.
    pub fn heal(&self) {
        self.state().faults = Faults::default();
    }

    /// Loses everything that was not synced, bytes and names. Files that are open are of no use afterwards.
    pub fn power_cut(&self) {
        let mut state = self.state();
        state.now = state.lasting.clone();
        state.files.iter_mut().for_each(|file| file.lose(None));
        state.era += 1;
    }

    /// The same, but as luck has it: of each file the beginning of what was not synced may have survived, and the
    /// names of a directory may have too.
    pub fn uneven_power_cut(&self) {
        let mut state = self.state();
        for dir in state.now.directories.clone() {
            if state.below(2) == 0 {
                let State { now, lasting, .. } = &mut *state;
                lasting.take_over(&dir, now);
            }
        }
        state.now = state.lasting.clone();
        for file in 0..state.files.len() {
            let tail = state.files[file].now.len() - state.files[file].same;
            let kept = state.below(tail + 1);
            let lucky = state.below(2) == 0;
            state.files[file].lose(lucky.then_some(kept));
        }
        state.era += 1;
    }

    /// The bytes of a file as they are now.
    pub fn contents(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state();
        state.now.files.get(path).map(|file| state.files[*file].now.clone())
    }

    /// Puts a file there, synced.
    pub fn put(&self, path: &Path, bytes: &[u8]) {
        let mut state = self.state();
        let file = state.file_or_new(path).expect("its directory is there");
        state.files[file].truncate(0);
        state.files[file].now.extend_from_slice(bytes);
        state.files[file].sync();
        state.lasting.files.insert(path.to_owned(), file);
    }

    fn handle(&self, state: &State, file: usize) -> Box<dyn DiskFile> {
        Box::new(Handle { disk: self.clone(), file, position: 0, era: state.era })
    }
}

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.live()?;
        state.operate()?;
        let file = state.file_or_new(path)?;
        state.files[file].truncate(0);
        Ok(self.handle(&state, file))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.live()?;
        state.operate()?;
        let file = state.file_or_new(path)?;
        Ok(self.handle(&state, file))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let state = self.live()?;
        Ok(self.handle(&state, state.file(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.live()?;
        state.operate()?;
        let file = state.file(from)?;
        state.check_parent(to)?;
        state.now.files.remove(from);
        state.now.files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.live()?;
        state.operate()?;
        state.now.files.remove(path).map(|_| ()).ok_or_else(missing)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.live()?;
        state.operate()?;
        if !state.now.directories.contains(path) {
            return Err(missing());
        }
        let State { now, lasting, .. } = &mut *state;
        lasting.take_over(path, now);
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let state = self.live()?;
        if !state.now.directories.contains(path) {
            return Err(missing());
        }
        Ok(state.now.children(path))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.live()?;
        state.operate()?;
        state.check_parent(path)?;
        if state.now.files.contains_key(path) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        state.now.directories.insert(path.to_owned());
        Ok(())
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        let state = self.live()?;
        Ok(state.files[state.file(path)?].now.len() as u64)
    }
}

struct Handle {
    disk: FaultyDisk,
    file: usize,
    /// Where the next read begins.
    position: usize,
    era: u64,
}

impl Handle {
    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.state();
        if state.era == self.era { Ok(state) } else { Err(broken()) }
    }
}

impl DiskFile for Handle {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.state()?;
        if state.faults.reads {
            return Err(broken());
        }
        let left = state.files[self.file].now.len().saturating_sub(self.position);
        let mut n = left.min(buffer.len());
        if state.faults.short_reads && n > 1 {
            n = 1 + state.below(n);
        }
        buffer[..n].copy_from_slice(&state.files[self.file].now[self.position..][..n]);
        drop(state);
        self.position += n;
        Ok(n)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.state()?.write(self.file, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        let delay = self.state()?.faults.sync_delay;
        if !delay.is_zero() {
            std::thread::sleep(delay);
        }
        let mut state = self.state()?;
        state.operate()?;
        state.files[self.file].sync();
        Ok(())
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        let mut state = self.state()?;
        state.operate()?;
        let len = usize::try_from(len).map_err(|_| io::Error::from(ErrorKind::FileTooLarge))?;
        state.files[self.file].truncate(len);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.state()?.files[self.file].now.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> &Path {
        Path::new(name)
    }

    #[test]
    fn only_what_was_synced_survives() {
        let disk = FaultyDisk::new(1);
        let mut a = disk.create(path("a")).expect("created");
        a.write_all(b"one").expect("written");
        a.sync().expect("synced");
        a.write_all(b"two").expect("written");
        disk.sync_dir(path("")).expect("synced");
        drop(disk.create(path("b")).expect("created"));
        disk.power_cut();
        assert_eq!(disk.contents(path("a")).as_deref(), Some(&b"one"[..]));
        assert_eq!(disk.contents(path("b")), None);
        assert!(a.write_all(b"x").is_err());
    }

    #[test]
    fn what_was_mounted_before_a_power_cut_is_of_no_use() {
        let disk = FaultyDisk::new(1);
        disk.put(path("a"), b"one");
        let mounted = disk.mounted();
        mounted.rename(path("a"), path("b")).expect("renamed");
        disk.power_cut();
        assert!(mounted.rename(path("a"), path("b")).is_err());
        assert!(mounted.open(path("a")).is_err());
        disk.mounted().rename(path("a"), path("b")).expect("renamed");
    }

    #[test]
    fn a_cut_that_was_not_synced_is_undone() {
        let disk = FaultyDisk::new(1);
        disk.put(path("a"), b"0123456789");
        let mut a = disk.append(path("a")).expect("opened");
        a.truncate(4).expect("cut");
        a.write_all(b"xy").expect("written");
        disk.power_cut();
        assert_eq!(disk.contents(path("a")).as_deref(), Some(&b"0123456789"[..]));
        let mut a = disk.append(path("a")).expect("opened");
        a.truncate(4).expect("cut");
        a.sync().expect("synced");
        disk.power_cut();
        assert_eq!(disk.contents(path("a")).as_deref(), Some(&b"0123"[..]));
    }

    #[test]
    fn a_rename_lasts_once_the_directory_is_synced() {
        let disk = FaultyDisk::new(1);
        disk.put(path("old"), b"old");
        disk.put(path("new"), b"new");
        disk.rename(path("new"), path("old")).expect("renamed");
        disk.power_cut();
        assert_eq!(disk.contents(path("old")).as_deref(), Some(&b"old"[..]));
        disk.rename(path("new"), path("old")).expect("renamed");
        disk.sync_dir(path("")).expect("synced");
        disk.power_cut();
        assert_eq!(disk.contents(path("old")).as_deref(), Some(&b"new"[..]));
        assert_eq!(disk.contents(path("new")), None);
    }

    #[test]
    fn an_uneven_power_cut_may_keep_names_without_bytes() {
        let survived: BTreeSet<Option<Vec<u8>>> = (0..100)
            .map(|seed| {
                let disk = FaultyDisk::new(seed);
                let mut a = disk.create(path("a")).expect("created");
                a.write_all(b"ab").expect("written");
                disk.uneven_power_cut();
                disk.contents(path("a"))
            })
            .collect();
        let possible: [Option<&[u8]>; 4] = [None, Some(b""), Some(b"a"), Some(b"ab")];
        assert_eq!(survived, possible.into_iter().map(|bytes| bytes.map(Into::into)).collect());
    }

    #[test]
    fn operations_fail_from_a_point_on_and_writes_are_torn() {
        let disk = FaultyDisk::new(3);
        disk.fail_after(2);
        let mut a = disk.create(path("a")).expect("created");
        a.write_all(b"one").expect("written");
        assert!(
            a.write_all(b"twotwotwotwo").is_err() && a.sync().is_err() && disk.remove(path("a")).is_err()
        );
        let len = disk.len(path("a")).expect("known");
        assert!((3..15).contains(&len), "{len}");
        disk.heal();
        a.sync().expect("synced");
        disk.fail_once_after(1);
        a.sync().expect("synced");
        assert!(a.sync().is_err());
        a.sync().expect("synced");
        assert_eq!(disk.operations(), 9);
    }

    #[test]
    fn a_full_disk_takes_what_fits() {
        let disk = FaultyDisk::new(1);
        disk.set_capacity(5);
        let mut a = disk.create(path("a")).expect("created");
        let error = a.write_all(b"1234567").expect_err("full");
        assert_eq!((error.kind(), a.len().expect("known")), (ErrorKind::StorageFull, 5));
        a.truncate(2).expect("cut");
        a.write_all(b"345").expect("there is room again");
    }

    #[test]
    fn reads_can_be_short_or_fail() {
        let disk = FaultyDisk::new(1);
        disk.put(path("a"), &[7; 1000]);
        disk.shorten_reads();
        let mut a = disk.open(path("a")).expect("opened");
        let mut reads = Vec::new();
        let mut buffer = [0; 400];
        while let n @ 1.. = a.read(&mut buffer).expect("read") {
            reads.push(n);
        }
        assert!(reads.iter().sum::<usize>() == 1000 && reads.len() > 3, "{reads:?}");
        disk.fail_reads();
        assert!(a.read(&mut buffer).is_err());
    }
}
