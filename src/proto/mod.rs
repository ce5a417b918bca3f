//! The wire language of RFC 959, 2228, 2389, 2428, 3659, 4217 and 7151: bytes to typed values and back.
//! Nothing here reads a socket, a file or a clock.

pub mod argument;
pub mod ascii;
pub mod facts;
pub mod hash;
pub mod host;
pub mod line;
pub mod path;
pub mod pattern;
pub mod reply;
pub mod verb;
