//! A record as one line of JSON, with the names of OCSF 1.4 where it has one.

mod wire;

use std::io::{self, Write};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::ser::Formatter;

use super::chain::{self, ChainHash};
use super::record::Record;
use super::text;
use wire::Line;

/// What the writer adds to a record when it puts it in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp<'a> {
    /// The record's number; each is one more than the one before.
    pub seq: u64,
    /// When it was written.
    pub time: Timestamp,
    /// Its ULID.
    pub uid: &'a str,
    /// Whether the log could not be written at first, so that whoever asked heard of a failure.
    pub late: bool,
}

/// Appends the record to `buffer` as one line behind the record with the hash `prev`, ending with a
/// newline, and gives its hash. Text fields are bounded
/// ([`TEXT_BYTES_MAX`](text::TEXT_BYTES_MAX), [`USER_BYTES_MAX`](text::USER_BYTES_MAX)); one that was cut is listed under `unmapped.truncated`.
///
/// # Errors
/// Writing into memory is not expected to fail; if it does, `buffer` is as it was.
pub fn append_line(buffer: &mut Vec<u8>, stamp: &Stamp<'_>, record: &Record, prev: ChainHash) -> io::Result<ChainHash> {
    let start = buffer.len();
    let mut cuts = Vec::new();
    let mut line = Line::new(stamp, record, &mut cuts);
    line.list_cuts(&cuts);
    let result = line.serialize(&mut serde_json::Serializer::with_formatter(&mut *buffer, Harmless));
    if let Err(error) = result {
        buffer.truncate(start);
        return Err(error.into());
    }
    let hash = chain::seal(buffer, start, prev);
    buffer.push(b'\n');
    Ok(hash)
}

/// JSON without spaces in which no harmful character stands as itself. `serde_json` escapes what
/// JSON demands; the rest is a matter of screens and of tools that split lines.
struct Harmless;

impl Formatter for Harmless {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        if fragment.bytes().all(|byte| matches!(byte, 0x20..=0x7e)) {
            return writer.write_all(fragment.as_bytes());
        }
        let mut units = [0; 2];
        let mut bytes = [0; 4];
        for c in fragment.chars() {
            if text::is_harmful(c) {
                for unit in c.encode_utf16(&mut units) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            } else {
                writer.write_all(c.encode_utf8(&mut bytes).as_bytes())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
