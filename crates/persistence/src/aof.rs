//! AOF: the log of effects, in the layout of several files that Redis has used since 7.0.
//!
//! [`Manifest`] names the files: a base, logs that continue it, and what is to be deleted. [`Scanner`] reads a log from
//! chunks and says how much of it is sound; [`Checkpoints`] makes the lines by which damage is found. They do no I/O.
//! [`Log`] is a file that a thread writes, a [`Survey`] one that a thread scans. docs/formats/aof.md of the repository describes the bytes.

mod base;
mod checkpoint;
mod manifest;
mod scan;
mod survey;
mod writer;

pub use base::{BaseCommands, BaseOptions};
pub use checkpoint::{Checkpoint, Checkpoints};
pub use manifest::{FileInfo, FileKind, Manifest, ManifestError, ManifestFault};
pub use scan::{Defect, Ending, Fault, Scan, Scanner, Tail, Verdict, Visit};
pub use survey::{Survey, Surveyed};
pub use writer::{Done, Log, Opening, Policy, replace};
