//! Bytes of the control connection into command lines, within bounds (RFC 959 §4.1.3, §5.3;
//! RFC 1123 §4.1.2.10).
//!
//! A line ends at LF; one CR before it is dropped. Telnet commands are removed and never answered.
//! The buffer is the only place that holds bytes not yet understood, so that nothing sent in clear
//! can cross into the TLS session unseen: [`LineBuffer::is_empty`] tells.

use zeroize::{Zeroize, Zeroizing};

/// Most bytes held that were sent ahead of their turn; beyond it, reading waits.
pub const PIPELINE_BYTES_MAX: usize = 16 * 1024;

/// Consumed bytes that stay in the buffer before it is compacted.
const CONSUMED_BYTES_MAX: usize = 4 * 1024;

const IAC: u8 = 0xff;
const DONT: u8 = 0xfe;
const WILL: u8 = 0xfb;
/// What a client's urgent "interrupt process" and "data mark" leave behind when their IAC
/// travelled out of band.
const STRAY_TELNET: [u8; 2] = [0xf4, 0xf2];

/// One command line without its end. Wiped from memory when dropped: it may hold a password.
pub type Line = Zeroizing<Vec<u8>>;

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineError {
    /// More bytes than permitted came without a line end. What follows cannot be told apart from
    /// commands, so the connection must end.
    TooLong,
    /// The line holds NUL or a CR that ends no line.
    Malformed,
}

/// Collects bytes and hands out lines.
#[derive(Debug)]
pub struct LineBuffer {
    /// Wiped when it is dropped; it may hold a part of a password.
    bytes: Zeroizing<Vec<u8>>,
    taken: usize,
    searched: usize,
    line_bytes_max: usize,
}

impl LineBuffer {
    /// An empty buffer for lines of at most this many bytes, line end included.
    pub fn new(line_bytes_max: usize) -> Self {
        Self { bytes: Zeroizing::default(), taken: 0, searched: 0, line_bytes_max }
    }

    /// Adds what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        let length = self.bytes.len().saturating_add(bytes.len());
        if length > self.bytes.capacity() {
            // One that grew by itself would leave what it held where it was.
            let mut larger = Zeroizing::new(Vec::with_capacity(length.max(self.bytes.len().saturating_mul(2))));
            larger.extend_from_slice(&self.bytes);
            self.bytes = larger;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Whether no byte waits.
    pub fn is_empty(&self) -> bool {
        self.taken == self.bytes.len()
    }

    /// The first byte that waits.
    pub fn first(&self) -> Option<u8> {
        self.bytes.get(self.taken).copied()
    }

    /// Whether more may be read: less waits than [`PIPELINE_BYTES_MAX`].
    pub fn has_room(&self) -> bool {
        self.bytes.len().saturating_sub(self.taken) < PIPELINE_BYTES_MAX.max(self.line_bytes_max)
    }

    /// The next line, once its end has come.
    ///
    /// # Errors
    /// [`LineError`]; after [`LineError::TooLong`] the buffer is of no further use.
    pub fn next_line(&mut self) -> Option<Result<Line, LineError>> {
        let waiting = self.bytes.get(self.taken..)?;
        let unsearched = waiting.get(self.searched..).unwrap_or_default();
        let Some(at) = unsearched.iter().position(|byte| *byte == b'\n') else {
            self.searched = waiting.len();
            return (waiting.len() >= self.line_bytes_max).then_some(Err(LineError::TooLong));
        };
        let length = self.searched.saturating_add(at).saturating_add(1);
        if length > self.line_bytes_max {
            return Some(Err(LineError::TooLong));
        }
        let line = waiting.get(..length).map(without_telnet).unwrap_or_default();
        self.take(length);
        if line.contains(&0) || line.contains(&b'\r') { Some(Err(LineError::Malformed)) } else { Some(Ok(line)) }
    }

    /// Takes out the first whole line that is `wanted`, wherever it stands; the others stay.
    pub fn pick_line(&mut self, wanted: impl Fn(&[u8]) -> bool) -> Option<Line> {
        let mut start = self.taken;
        for piece in self.bytes.get(start..)?.split_inclusive(|byte| *byte == b'\n') {
            let end = start.saturating_add(piece.len());
            if piece.ends_with(b"\n") && piece.len() <= self.line_bytes_max {
                let line = without_telnet(piece);
                if wanted(&line) {
                    self.remove(start..end);
                    self.searched = 0;
                    return Some(line);
                }
            }
            start = end;
        }
        None
    }

    /// Forgets the first `length` waiting bytes and wipes them.
    fn take(&mut self, length: usize) {
        let end = self.taken.saturating_add(length);
        if let Some(consumed) = self.bytes.get_mut(self.taken..end) {
            consumed.zeroize();
        }
        self.taken = end;
        self.searched = 0;
        if self.is_empty() {
            // An idle session holds no buffer.
            self.bytes = Zeroizing::default();
            self.taken = 0;
        } else if self.taken >= CONSUMED_BYTES_MAX {
            self.remove(0..self.taken);
            self.taken = 0;
        }
    }

    /// Lets the bytes behind a range move to its place, and wipes where they were.
    fn remove(&mut self, range: std::ops::Range<usize>) {
        let length = self.bytes.len();
        self.bytes.drain(range);
        let left = self.bytes.len();
        self.bytes.resize(length, 0);
        self.bytes.truncate(left);
    }
}

/// A line without its end and without Telnet commands.
fn without_telnet(line: &[u8]) -> Line {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut kept = Zeroizing::new(Vec::with_capacity(line.len()));
    let mut bytes = line.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte != IAC {
            if !(kept.is_empty() && STRAY_TELNET.contains(&byte)) {
                kept.push(byte);
            }
            continue;
        }
        match bytes.next() {
            Some(IAC) => kept.push(IAC),
            Some(WILL..=DONT) => {
                bytes.next();
            }
            _ => {}
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(input: &[u8]) -> Vec<Result<Vec<u8>, LineError>> {
        let mut buffer = LineBuffer::new(64);
        buffer.push(input);
        std::iter::from_fn(|| buffer.next_line()).take(20).map(|line| line.map(|l| l.to_vec())).collect()
    }

    #[test]
    fn lines_end_at_lf_with_or_without_cr() {
        assert_eq!(lines(b"NOOP\r\nQUIT\nPWD"), vec![Ok(b"NOOP".to_vec()), Ok(b"QUIT".to_vec())]);
        assert_eq!(lines(b"\r\n\n"), vec![Ok(vec![]), Ok(vec![])]);
    }

    #[test]
    fn nul_and_stray_cr_spoil_one_line_only() {
        assert_eq!(lines(b"US\0ER x\r\nA\rB\nNOOP\r\n")[..2], [Err(LineError::Malformed), Err(LineError::Malformed)]);
        assert_eq!(lines(b"US\0ER x\r\nNOOP\r\n")[1], Ok(b"NOOP".to_vec()));
    }

    #[test]
    fn a_line_is_picked_from_among_those_that_wait() {
        let mut buffer = LineBuffer::new(64);
        let pick = |buffer: &mut LineBuffer| buffer.pick_line(|line| line.starts_with(b"AB")).map(|line| line.to_vec());
        assert_eq!(pick(&mut buffer), None);
        buffer.push(b"one\r\ntwo\r\n\xff\xf4\xff\xf2ABOR\r\nthree\r\nABO");
        assert_eq!(pick(&mut buffer), Some(b"ABOR".to_vec()));
        assert_eq!(pick(&mut buffer), None, "the rest of it has not come");
        buffer.push(b"R\nfour\n");
        assert_eq!(pick(&mut buffer), Some(b"ABOR".to_vec()));
        let rest: Vec<_> = std::iter::from_fn(|| buffer.next_line()).map(|line| line.unwrap().to_vec()).collect();
        assert_eq!(rest, [&b"one"[..], b"two", b"three", b"four"]);
        assert!(buffer.is_empty());
        // Also behind bytes that were taken and stand there still.
        buffer.push(b"x\nABOR\ny\n");
        assert_eq!(buffer.next_line(), Some(Ok(Line::new(b"x".to_vec()))));
        assert_eq!(pick(&mut buffer), Some(b"ABOR".to_vec()));
        assert_eq!(buffer.next_line(), Some(Ok(Line::new(b"y".to_vec()))));
        // What is too long is for the reader of all lines.
        buffer.push(&[b"AB".as_slice(), &[b'x'; 70], b"\n"].concat());
        assert_eq!(pick(&mut buffer), None);
    }

    #[test]
    fn too_long_is_told_before_and_after_the_line_end() {
        assert_eq!(lines(&[b'x'; 64])[0], Err(LineError::TooLong));
        assert_eq!(lines(&[&[b'x'; 64][..], b"\n"].concat())[0], Err(LineError::TooLong));
        assert_eq!(lines(&[&[b'x'; 62][..], b"\r\n"].concat())[0], Ok(vec![b'x'; 62]));
    }

    #[test]
    fn telnet_commands_are_dropped() {
        assert_eq!(lines(b"\xff\xf4\xff\xf2ABOR\r\n"), vec![Ok(b"ABOR".to_vec())]);
        assert_eq!(lines(b"\xf2STOR x\r\n"), vec![Ok(b"STOR x".to_vec())]);
        assert_eq!(lines(b"\xff\xfb\x01NOOP\r\n"), vec![Ok(b"NOOP".to_vec())]);
        assert_eq!(lines(b"PASS \xff\xff\r\n"), vec![Ok(b"PASS \xff".to_vec())]);
    }

    #[test]
    fn what_is_consumed_takes_no_memory() {
        let mut buffer = LineBuffer::new(4096);
        buffer.push(b"NOO");
        for _ in 0..1000 {
            buffer.push(b"P\r\nNOOP ");
            buffer.push(&[b'x'; 3000]);
            buffer.push(b"\r\nNOO");
            while buffer.next_line().is_some() {}
        }
        assert!(buffer.bytes.capacity() < 64 * 1024, "{}", buffer.bytes.capacity());
        buffer.push(b"P\r\n");
        assert_eq!(buffer.next_line().unwrap().unwrap().as_slice(), b"NOOP");
    }

    #[test]
    fn bytes_wait_until_their_line_is_whole() {
        let mut buffer = LineBuffer::new(64);
        assert!(buffer.is_empty() && buffer.next_line().is_none());
        buffer.push(b"NO");
        assert!(buffer.next_line().is_none() && !buffer.is_empty());
        buffer.push(b"OP\r\n");
        assert_eq!(buffer.next_line().unwrap().unwrap().as_slice(), b"NOOP");
        assert!(buffer.is_empty());
    }

    proptest! {
        #[test]
        fn cutting_the_stream_changes_nothing(
            input in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(0xffu8), any::<u8>()], 0..200),
            cut in 0usize..200,
        ) {
            let cut = cut.min(input.len());
            let mut buffer = LineBuffer::new(64);
            let mut pieces = Vec::new();
            for part in [&input[..cut], &input[cut..]] {
                buffer.push(part);
                while let Some(line) = buffer.next_line() {
                    let end = line == Err(LineError::TooLong);
                    pieces.push(line.map(|l| l.to_vec()));
                    if end {
                        break;
                    }
                }
                if pieces.last() == Some(&Err(LineError::TooLong)) {
                    break;
                }
            }
            let mut whole = lines(&input);
            if let Some(end) = whole.iter().position(|line| *line == Err(LineError::TooLong)) {
                whole.truncate(end + 1);
            }
            whole.truncate(20);
            pieces.truncate(20);
            prop_assert_eq!(pieces, whole);
        }
    }
}
