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
//! | [`json`] | a record as one line of JSON |
//! | [`mod@file`] | the log file as a start finds it: its lock, its tail, its torn end |
//! | `growing` | the open log: whole lines, and what others do to it |
//! | [`rotation`] | how the files of the log are named |
//! | [`sink`] | the queue and the handle through which records are written |
//! | `writer` | the thread that owns the file |
//! | [`tally`] | what the records come to, counted |
//! | [`flood`] | refused connections, counted where they come in floods |

pub mod chain;
pub mod event;
pub mod file;
pub mod flood;
mod growing;
pub mod head;
pub mod json;
pub mod record;
pub mod rotation;
pub mod signing;
pub mod sink;
pub mod tally;
pub mod text;
mod writer;
