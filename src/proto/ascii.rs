//! Line ends of the ASCII type (RFC 959 §3.1.1.1): CRLF on the wire, LF in the store. Both ways
//! stream in constant memory, whatever the pieces, and going there and back changes nothing.

/// Turns LF into CRLF; a CRLF that is there already stays one.
#[derive(Clone, Copy, Debug, Default)]
pub struct ToWire {
    after_cr: bool,
}

impl ToWire {
    /// Goes on as if the piece had been sent, until `octets` more have been (RFC 3659 §5.3: a
    /// restart marker counts what is sent); takes them off `octets`. The bytes of the piece that
    /// are passed by it; the octets may end between a CR that was put in and its LF, which is then
    /// the next byte.
    pub fn skip(&mut self, piece: &[u8], octets: &mut u64) -> usize {
        for (at, byte) in piece.iter().enumerate() {
            let octets_of_byte = if *byte == b'\n' && !self.after_cr { 2 } else { 1 };
            let Some(left) = octets.checked_sub(octets_of_byte) else {
                // One octet is left of a CR and LF.
                self.after_cr |= *octets > 0;
                *octets = 0;
                return at;
            };
            *octets = left;
            self.after_cr = *byte == b'\r';
        }
        piece.len()
    }

    /// Appends the next piece of a file as it goes over the wire.
    pub fn convert(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        for byte in piece {
            if *byte == b'\n' && !self.after_cr {
                out.push(b'\r');
            }
            out.push(*byte);
            self.after_cr = *byte == b'\r';
        }
    }
}

/// Turns CRLF into LF; a CR that ends no line stays.
#[derive(Clone, Copy, Debug, Default)]
pub struct FromWire {
    held_cr: bool,
}

impl FromWire {
    /// Appends the next piece from the wire as it goes into the file.
    pub fn convert(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        for byte in piece {
            if std::mem::take(&mut self.held_cr) && *byte != b'\n' {
                out.push(b'\r');
            }
            if *byte == b'\r' {
                self.held_cr = true;
            } else {
                out.push(*byte);
            }
        }
    }

    /// Appends what was held back at the end.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.held_cr) {
            out.push(b'\r');
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn to_wire(pieces: &[&[u8]]) -> Vec<u8> {
        let (mut convert, mut out) = (ToWire::default(), Vec::new());
        for piece in pieces {
            convert.convert(piece, &mut out);
        }
        out
    }

    fn from_wire(pieces: &[&[u8]]) -> Vec<u8> {
        let (mut convert, mut out) = (FromWire::default(), Vec::new());
        for piece in pieces {
            convert.convert(piece, &mut out);
        }
        convert.finish(&mut out);
        out
    }

    #[test]
    fn line_ends_change_and_nothing_else() {
        assert_eq!(to_wire(&[b"a\nb\r\nc\rd"]), b"a\r\nb\r\nc\rd");
        assert_eq!(from_wire(&[b"a\r\nb\nc\rd\r"]), b"a\nb\nc\rd\r");
        assert_eq!(from_wire(&[b"a\r", b"\nb\r", b"\r\n"]), b"a\nb\r\n");
    }

    #[test]
    fn a_marker_may_stand_between_cr_and_lf() {
        let mut convert = ToWire::default();
        let mut octets = 2;
        assert_eq!(convert.skip(b"a\nb", &mut octets), 1);
        let mut out = Vec::new();
        convert.convert(b"\nb", &mut out);
        assert_eq!((out.as_slice(), octets), (&b"\nb"[..], 0));
        assert_eq!(ToWire::default().skip(b"a\n", &mut { 9 }), 2);
    }

    proptest! {
        #[test]
        fn what_was_skipped_and_what_follows_are_the_whole(
            text in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), any::<u8>()], 0..60),
            marker in 0usize..130,
            cut in 0usize..60,
        ) {
            let whole = to_wire(&[&text]);
            let marker = marker.min(whole.len());
            let (head, tail) = text.split_at(cut.min(text.len()));
            let (mut convert, mut octets) = (ToWire::default(), u64::try_from(marker).unwrap());
            let mut at = convert.skip(head, &mut octets);
            if at == head.len() {
                at += convert.skip(tail, &mut octets);
            }
            prop_assert_eq!(octets, 0);
            let mut rest = Vec::new();
            convert.convert(&text[at..], &mut rest);
            prop_assert_eq!(&whole[marker..], rest.as_slice());
            // What a client sends from the marker on completes what the store keeps before it.
            let kept = [&text[..at], &from_wire(&[&rest])].concat();
            if !text.contains(&b'\r') {
                prop_assert_eq!(kept, text);
            }
        }

        #[test]
        fn cuts_do_not_matter_and_unix_text_comes_back(
            text in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), any::<u8>()], 0..100),
            cut in 0usize..100,
        ) {
            let (head, tail) = text.split_at(cut.min(text.len()));
            prop_assert_eq!(to_wire(&[head, tail]), to_wire(&[&text]));
            prop_assert_eq!(from_wire(&[head, tail]), from_wire(&[&text]));
            let unix: Vec<u8> = text.iter().copied().filter(|byte| *byte != b'\r').collect();
            prop_assert_eq!(from_wire(&[&to_wire(&[&unix])]), unix);
        }
    }
}
