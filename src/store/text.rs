//! Restart markers in text: octets as they are sent, with CRLF at the end of lines, told as a place
//! in the file, which has LF there (RFC 3659 §5.3, RFC 959 §3.1.1.1).

use super::fault::Fault;
use super::read::ReadFile;
use crate::proto::ascii::ToWire;

/// Bytes read at a time.
const PIECE_BYTES: usize = 256 << 10;

/// A place in a file that is sent as text.
#[derive(Clone, Copy, Debug)]
pub struct TextPlace {
    /// Bytes of the file before it.
    pub offset: u64,
    /// What to go on with from there.
    pub convert: ToWire,
}

impl ReadFile {
    /// The place behind so many octets of the file as it is sent in TYPE A. Reads no more of the file
    /// than that; for a thread that may block.
    ///
    /// # Errors
    /// [`Fault::OffsetBeyondEnd`] where fewer octets would be sent; what the system reports.
    pub fn text_place(&self, octets: u64) -> Result<TextPlace, Fault> {
        let mut place = TextPlace { offset: 0, convert: ToWire::default() };
        let mut left = octets;
        let mut buffer = vec![0; PIECE_BYTES];
        while left > 0 {
            let piece = match self.read(&mut buffer, place.offset)? {
                0 => return Err(Fault::OffsetBeyondEnd),
                read => buffer.get(..read).unwrap_or_default(),
            };
            let passed = place.convert.skip(piece, &mut left);
            place.offset = place.offset.saturating_add(u64::try_from(passed).unwrap_or(0));
        }
        Ok(place)
    }
}
