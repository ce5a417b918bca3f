//! The audit log as it is read: by the auditor, offline, and never by the server that writes it.
//!
//! | module | subject |
//! |---|---|
//! | [`files`] | which files the log consists of, in their order |
//! | [`lines`] | their lines, one after the other, compressed or not |
//! | [`entry`] | what a line says |
//! | [`verify`] | whether they are as the server wrote them |
//! | [`filter`] | which records are meant |
//! | [`scan`] | going through the records that are meant |
//! | [`latest`] | the last of them |
//! | [`follow`] | those that are written from now on |
//! | [`names`] | what a file was called before it was renamed |

pub mod entry;
pub mod files;
pub mod filter;
pub mod follow;
pub mod latest;
pub mod lines;
pub mod names;
pub mod scan;
pub mod verify;
