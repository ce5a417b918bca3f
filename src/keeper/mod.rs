//! The keeper: a second process that does what the server may not. It renames, compresses and removes
//! files of the audit log, and copies records to syslog, the journal and standard output.
//!
//! The server starts it before its own sandbox and speaks with it over a socket that is the keeper's
//! standard input. It reads the files itself, so that nothing that it waits for can hold up the log,
//! and it ends when the server does.
//!
//! | module | subject |
//! |---|---|
//! | [`protocol`] | what the two say to each other |
//! | [`orders`] | the server's way to ask for something without waiting |
//! | [`process`] | the process: its start, its threads, its end |
//! | [`closed`] | what a closed file is, looked at by itself |
//! | [`place`] | renaming, compressing and removing, so that a crash leaves a complete log |
//! | `upkeep` | when that is done |
//! | [`follow`] | the records behind a place in the log, and those still to come |
//! | `memory` | how far each copy is, over restarts too |
//! | `copying` | a copy kept up, through outages |
//! | [`message`] | a record as a message of syslog or an entry of the journal |
//! | `receivers` | standard output, sockets of this machine, and who listens there |
//! | `tls` | syslog servers over TLS |

pub mod closed;
mod copying;
pub mod follow;
mod memory;
pub mod message;
pub mod orders;
pub mod place;
pub mod process;
pub mod protocol;
mod receivers;
mod tls;
mod upkeep;
