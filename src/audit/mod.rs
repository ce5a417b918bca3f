//! The audit trail: typed records, and the one place that writes them.
//!
//! | module | subject |
//! |---|---|
//! | [`event`] | what is recorded, and what each event is in OCSF |
//! | [`record`] | one record, typed |
//! | [`text`] | texts from outside made harmless |
//! | [`json`] | a record as one line of JSON |
//! | [`mod@file`] | the log file as a start finds it: its lock, its tail, its torn end |
//! | `growing` | the open log: whole lines, and what others do to it |
//! | [`sink`] | the queue and the handle through which records are written |
//! | `writer` | the thread that owns the file |
//! | [`flood`] | refused connections, counted where they come in floods |

pub mod event;
pub mod file;
pub mod flood;
mod growing;
pub mod json;
pub mod record;
pub mod sink;
pub mod text;
mod writer;
