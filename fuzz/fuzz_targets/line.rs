//! Lines are the same wherever the stream is cut, and never longer than permitted.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis::proto::line::{LineBuffer, LineError};

const LINE_BYTES_MAX: usize = 64;

fuzz_target!(|input: (u8, &[u8])| {
    let (cut, bytes) = input;
    let (head, tail) = bytes.split_at(usize::from(cut).min(bytes.len()));
    assert_eq!(lines(&[head, tail]), lines(&[bytes]));
});

fn lines(pieces: &[&[u8]]) -> Vec<Result<Vec<u8>, LineError>> {
    let mut buffer = LineBuffer::new(LINE_BYTES_MAX);
    let mut found = Vec::new();
    for piece in pieces {
        buffer.push(piece);
        while let Some(line) = buffer.next_line() {
            let line = line.map(|line| line.to_vec());
            assert!(line.as_ref().is_ok_and(|line| line.len() < LINE_BYTES_MAX) || line.is_err());
            let over = line == Err(LineError::TooLong);
            found.push(line);
            if over {
                return found;
            }
        }
    }
    found
}
