//! The audit trail: typed records, and the one place that writes them.
//!
//! | module | subject |
//! |---|---|
//! | [`event`] | what is recorded, and what each event is in OCSF |
//! | [`record`] | one record, typed |
//! | [`text`] | texts from outside made harmless |
//! | [`chain`] | what ties each record to the one before |
//! | [`signing`] | the keys that sign what the log says about itself |
//! | [`head`] | what stands for the whole log up to a record, and its signature |
//! | [`keys`] | the key as it lies on the disk, and how another one follows it |
//! | [`checkpoint`] | the records by which the log speaks of itself |
//! | `head_file` | the newest signed head beside the log |
//! | [`json`] | a record as one line of JSON |
//! | [`mod@file`] | the log file as a start finds it: its lock, its tail, its torn end |
//! | `tail` | both ends of a file of the log |
//! | `resume` | how a start goes on with what it finds |
//! | `growing` | the open log: whole lines, and what others do to it |
//! | [`rotation`] | how the files of the log are named |
//! | [`sink`] | the queue and the handle through which records are written |
//! | `pen` | records put into lines: numbered, chained, signed |
//! | `writer` | the thread that owns the file |
//! | [`tally`] | what the records come to, counted |
//! | [`flood`] | refused connections, counted where they come in floods |

pub mod chain;
pub mod checkpoint;
pub mod event;
pub mod file;
pub mod flood;
mod growing;
pub mod head;
mod head_file;
pub mod json;
pub mod keys;
mod pen;
pub mod record;
mod resume;
pub mod rotation;
pub mod signing;
pub mod sink;
mod tail;
pub mod tally;
pub mod text;
#[cfg(test)]
pub(crate) mod trial;
mod writer;
