//! Reading a file on a thread of its own, a few chunks ahead of whoever uses them.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread;

use crate::disk::{DiskFile, fill};

/// Bytes of a chunk.
const CHUNK: usize = 256 << 10;
/// Chunks that are read and not used.
const AHEAD: usize = 8;

/// The rest of a file, as chunks.
pub struct ReadAhead {
    chunks: Receiver<io::Result<Vec<u8>>>,
    used: SyncSender<Vec<u8>>,
}

/// What there is to use.
#[derive(Debug)]
pub enum Ahead {
    /// The next chunk, which is not empty.
    Chunk(Vec<u8>),
    /// Nothing yet.
    Nothing,
    /// The file has ended.
    End,
}

impl ReadAhead {
    /// Begins to read. `wake` is called on the thread whenever there is something new.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(mut file: Box<dyn DiskFile>, wake: impl Fn() + Send + 'static) -> io::Result<ReadAhead> {
        let (sender, chunks) = sync_channel(AHEAD);
        let (used, buffers) = sync_channel(AHEAD + 2);
        thread::Builder::new()
            .name("read-ahead".into())
            .spawn(move || read_all(&mut *file, sender, &buffers, &wake))?;
        Ok(ReadAhead { chunks, used })
    }

    /// The next chunk, if it has been read.
    ///
    /// # Errors
    /// Those of reading. Nothing follows.
    pub fn poll(&mut self) -> io::Result<Ahead> {
        match self.chunks.try_recv() {
            Ok(chunk) => chunk.map(Ahead::Chunk),
            Err(TryRecvError::Empty) => Ok(Ahead::Nothing),
            Err(TryRecvError::Disconnected) => Ok(Ahead::End),
        }
    }

    /// The next chunk, as soon as it has been read; `None` at the end.
    ///
    /// # Errors
    /// As [`ReadAhead::poll`].
    pub fn wait(&mut self) -> io::Result<Option<Vec<u8>>> {
        self.chunks.recv().ok().transpose()
    }

    /// Gives back a chunk, whose memory is used again.
    pub fn give_back(&mut self, chunk: Vec<u8>) {
        // The thread may have ended, or have enough.
        drop(self.used.try_send(chunk));
    }
}

/// Reads until the end, an error, or until nobody listens any more.
fn read_all(
    file: &mut dyn DiskFile,
    chunks: SyncSender<io::Result<Vec<u8>>>,
    buffers: &Receiver<Vec<u8>>,
    wake: &dyn Fn(),
) {
    loop {
        let mut buffer = buffers.try_recv().unwrap_or_default();
        buffer.resize(CHUNK, 0);
        let read = fill(file, &mut buffer);
        let ends = read.as_ref().map_or(true, |n| *n < CHUNK);
        let chunk = read.map(|n| {
            buffer.truncate(n);
            buffer
        });
        let is_empty = chunk.as_ref().is_ok_and(Vec::is_empty);
        let is_heard = is_empty || chunks.send(chunk).is_ok();
        if ends || !is_heard {
            break;
        }
        wake();
    }
    // Only now can the end be seen.
    drop(chunks);
    wake();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Disk, FaultyDisk};
    use std::path::Path;
    use std::sync::mpsc::channel;

    /// Everything that comes, and the error at the end.
    fn read(disk: &FaultyDisk) -> (Vec<u8>, Option<io::Error>) {
        let file = disk.open(Path::new("a")).expect("opened");
        let mut ahead = ReadAhead::start(file, || {}).expect("started");
        let mut bytes = Vec::new();
        loop {
            match ahead.wait() {
                Ok(Some(chunk)) => {
                    assert!(!chunk.is_empty());
                    bytes.extend_from_slice(&chunk);
                    ahead.give_back(chunk);
                }
                Ok(None) => return (bytes, None),
                Err(error) => return (bytes, Some(error)),
            }
        }
    }

    #[test]
    fn all_bytes_arrive_in_order() {
        for len in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 20 * CHUNK + 5] {
            let disk = FaultyDisk::new(1);
            disk.shorten_reads();
            let bytes: Vec<u8> = (0..len).map(|i| (i / 7) as u8).collect();
            disk.put(Path::new("a"), &bytes);
            let (got, error) = read(&disk);
            assert!(got == bytes && error.is_none(), "{len}: {} bytes, {error:?}", got.len());
        }
    }

    #[test]
    fn an_error_comes_in_its_turn() {
        let disk = FaultyDisk::new(1);
        disk.put(Path::new("a"), b"abc");
        disk.fail_reads();
        assert!(read(&disk).1.is_some());
    }

    #[test]
    fn whoever_polls_is_woken_for_every_change() {
        let disk = FaultyDisk::new(1);
        disk.put(Path::new("a"), &[1; 3 * CHUNK]);
        let (sender, woken) = channel();
        let file = disk.open(Path::new("a")).expect("opened");
        let mut ahead = ReadAhead::start(file, move || sender.send(()).unwrap_or(())).expect("started");
        let mut bytes = 0;
        loop {
            match ahead.poll().expect("read") {
                Ahead::Chunk(chunk) => bytes += chunk.len(),
                Ahead::Nothing => woken.recv().expect("the thread still runs"),
                Ahead::End => break,
            }
        }
        assert_eq!(bytes, 3 * CHUNK);
    }
}
