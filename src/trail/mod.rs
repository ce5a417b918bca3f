//! The audit log as it is read: by the auditor, offline, and never by the server that writes it.
//!
//! | module | subject |
//! |---|---|
//! | [`files`] | which files the log consists of, in their order |
//! | [`lines`] | their lines, one after the other, compressed or not |
//! | [`entry`] | what a line says |
//! | [`filter`] | which records are meant |

pub mod entry;
pub mod files;
pub mod filter;
pub mod lines;
