//! AOF: the log of effects, in the layout of several files that Redis has used since 7.0.
//!
//! [`Manifest`] names the files: a base, logs that continue it, and what is to be deleted. [`Scanner`] reads a log from
//! chunks and says how much of it is sound; [`Checkpoints`] makes the lines by which damage is found. Nothing of these
//! does I/O. docs/formats/aof.md of the repository describes the bytes.

mod checkpoint;
mod manifest;
mod scan;

pub use checkpoint::{Checkpoint, Checkpoints};
pub use manifest::{FileInfo, FileKind, Manifest, ManifestError, ManifestFault};
pub use scan::{Defect, Ending, Fault, Scan, Scanner, Tail, Verdict, Visit};
