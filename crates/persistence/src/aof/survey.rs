//! Scanning a log on a thread of its own. Whoever waits for the verdict can see how far it is.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread;

use super::{Checkpoints, Ending, Scan, Scanner, Verdict, Visit};
use crate::disk::Disk;

/// Bytes that are read at once.
const CHUNK: usize = 256 << 10;

/// A scan that is under way. It ends early when this is dropped.
pub struct Survey<V> {
    found: Receiver<io::Result<Surveyed<V>>>,
    progress: Arc<Progress>,
}

/// What came of it.
pub struct Surveyed<V> {
    /// What is to be thought of the log.
    pub verdict: Verdict,
    /// The checkpoints of the log if it goes on where its sound part ends.
    pub checkpoints: Checkpoints,
    /// What was shown the log.
    pub visitor: V,
}

#[derive(Default)]
struct Progress {
    read: AtomicU64,
    is_abandoned: AtomicBool,
}

/// Reads a file from its beginning, as long as anybody wants to know the result.
struct Chunks<'a> {
    file: Box<dyn crate::disk::DiskFile>,
    buffer: Vec<u8>,
    progress: &'a Progress,
}

impl<V: Visit + Send + 'static> Survey<V> {
    /// Begins to scan a log, which `visitor` is shown. `wake` is called on the thread when there is a result.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(
        disk: Arc<dyn Disk>,
        path: PathBuf,
        visitor: V,
        wake: impl Fn() + Send + 'static,
    ) -> io::Result<Survey<V>> {
        let (sender, found) = channel();
        let progress = Arc::new(Progress::default());
        let shared = Arc::clone(&progress);
        thread::Builder::new().name("aof-survey".into()).spawn(move || {
            report(&sender, survey(&*disk, &path, visitor, &shared));
            wake();
        })?;
        Ok(Survey { found, progress })
    }

    /// Bytes of the log that were scanned.
    pub fn read(&self) -> u64 {
        self.progress.read.load(Ordering::Relaxed)
    }

    /// The result, once there is one.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn poll(&self) -> io::Result<Option<Surveyed<V>>> {
        match self.found.try_recv() {
            Ok(result) => result.map(Some),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(io::Error::other("the scan has ended without a result")),
        }
    }
}

impl<V> Drop for Survey<V> {
    fn drop(&mut self) {
        self.progress.is_abandoned.store(true, Ordering::Relaxed);
    }
}

/// Hands over what was found, unless nobody wants to know it any more.
fn report<V>(sender: &Sender<io::Result<Surveyed<V>>>, found: io::Result<Surveyed<V>>) {
    drop(sender.send(found));
}

fn survey<V: Visit>(
    disk: &dyn Disk,
    path: &Path,
    mut visitor: V,
    progress: &Progress,
) -> io::Result<Surveyed<V>> {
    let mut scanner = Scanner::new(0);
    let mut chunks = Chunks::open(disk, path, progress)?;
    while let Some(chunk) = chunks.next()? {
        scanner.feed(chunk, &mut visitor);
        progress.read.store(scanner.offset(), Ordering::Relaxed);
    }
    let whole = scanner.checkpoints();
    let verdict = match scanner.finish() {
        Scan::Done(verdict) => verdict,
        Scan::Again(mut tail) => {
            read_from(disk, path, tail.begin(), progress, |chunk| tail.feed(chunk))?;
            tail.finish()
        }
    };
    let checkpoints = match verdict.ending {
        Ending::Clean => whole,
        Ending::Torn(_) => up_to(disk, path, &verdict, progress)?,
        // It does not go on.
        Ending::Damaged(_) => Checkpoints::at(verdict.sound),
    };
    Ok(Surveyed { verdict, checkpoints, visitor })
}

/// The checkpoints of a log that is going to be cut to what is sound.
fn up_to(disk: &dyn Disk, path: &Path, verdict: &Verdict, progress: &Progress) -> io::Result<Checkpoints> {
    let mut checkpoints = Checkpoints::at(verdict.segment);
    read_from(disk, path, verdict.segment, progress, |chunk| {
        let left = usize::try_from(verdict.sound - checkpoints.offset()).unwrap_or(usize::MAX);
        checkpoints.add(&chunk[..chunk.len().min(left)]);
    })?;
    Ok(checkpoints)
}

/// Shows a file from the byte at `begin` on.
fn read_from(
    disk: &dyn Disk,
    path: &Path,
    begin: u64,
    progress: &Progress,
    mut show: impl FnMut(&[u8]),
) -> io::Result<()> {
    let mut chunks = Chunks::open(disk, path, progress)?;
    let mut at = 0;
    while let Some(chunk) = chunks.next()? {
        let skipped = usize::try_from(begin.saturating_sub(at)).unwrap_or(usize::MAX).min(chunk.len());
        at += chunk.len() as u64;
        show(&chunk[skipped..]);
    }
    Ok(())
}

impl<'a> Chunks<'a> {
    fn open(disk: &dyn Disk, path: &Path, progress: &'a Progress) -> io::Result<Self> {
        Ok(Chunks { file: disk.open(path)?, buffer: vec![0; CHUNK], progress })
    }

    /// The next bytes; none at the end of the file.
    fn next(&mut self) -> io::Result<Option<&[u8]>> {
        if self.progress.is_abandoned.load(Ordering::Relaxed) {
            return Err(io::Error::from(io::ErrorKind::Interrupted));
        }
        let count = self.file.read(&mut self.buffer)?;
        Ok((count > 0).then_some(&self.buffer[..count]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::FaultyDisk;
    use std::sync::mpsc::channel;

    const NAME: &str = "log";

    /// Counts words.
    #[derive(Default)]
    struct Words(u64);

    impl Visit for Words {
        fn word(&mut self, _: u64, _: u64, _: &[u8]) {
            self.0 += 1;
        }
    }

    fn survey_of(disk: &FaultyDisk) -> io::Result<Surveyed<Words>> {
        let (sender, woken) = channel();
        let wake = move || sender.send(()).unwrap_or(());
        let disk: Arc<dyn Disk> = Arc::new(disk.clone());
        let survey = Survey::start(disk, NAME.into(), Words::default(), wake).expect("started");
        woken.recv().expect("it ends");
        let found = survey.poll()?.expect("there is a result");
        assert_eq!(survey.read(), found.verdict.size);
        Ok(found)
    }

    /// A log with a checkpoint after half of its commands, and what makes those that follow.
    fn log(commands: usize) -> (Vec<u8>, Checkpoints) {
        let (mut bytes, mut checkpoints) = (Vec::new(), Checkpoints::at(0));
        for i in 0..commands {
            let key = format!("key:{i:020}");
            let command = format!("*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n$5\r\nvalue\r\n", key.len());
            checkpoints.add(command.as_bytes());
            bytes.extend_from_slice(command.as_bytes());
            if i == commands / 2 {
                checkpoints.write(&mut bytes);
                checkpoints.synced();
            }
        }
        (bytes, checkpoints)
    }

    fn next_line(mut checkpoints: Checkpoints) -> String {
        let mut line = Vec::new();
        checkpoints.write(&mut line);
        String::from_utf8(line).expect("text")
    }

    #[test]
    fn a_sound_log_goes_on_where_it_ends() {
        for commands in [0, 1, 9, 20_000] {
            let (bytes, checkpoints) = log(commands);
            let disk = FaultyDisk::new(1);
            disk.shorten_reads();
            disk.put(Path::new(NAME), &bytes);
            let found = survey_of(&disk).expect("readable");
            assert_eq!((found.verdict.ending, found.visitor.0), (Ending::Clean, 3 * commands as u64));
            assert_eq!(next_line(found.checkpoints), next_line(checkpoints), "{commands} commands");
        }
    }

    #[test]
    fn a_torn_log_goes_on_where_it_is_cut() {
        let (bytes, checkpoints) = log(1000);
        let torn = [&bytes[..], b"*3\r\n$3\r\nSE"].concat();
        let disk = FaultyDisk::new(1);
        disk.put(Path::new(NAME), &torn);
        let found = survey_of(&disk).expect("readable");
        assert!(matches!(found.verdict.ending, Ending::Torn(_)));
        assert_eq!(found.verdict.sound, bytes.len() as u64);
        assert_eq!(next_line(found.checkpoints), next_line(checkpoints));
    }

    #[test]
    fn an_error_of_the_disk_is_the_result() {
        let disk = FaultyDisk::new(1);
        assert_eq!(survey_of(&disk).err().map(|error| error.kind()), Some(io::ErrorKind::NotFound));
        disk.put(Path::new(NAME), b"*1\r\n");
        disk.fail_reads();
        assert!(survey_of(&disk).is_err());
    }

    #[test]
    fn it_ends_when_nobody_wants_to_know() {
        let progress = Progress::default();
        progress.is_abandoned.store(true, Ordering::Relaxed);
        let disk = FaultyDisk::new(1);
        disk.put(Path::new(NAME), &log(10).0);
        assert!(survey(&disk, Path::new(NAME), (), &progress).is_err());
    }
}
