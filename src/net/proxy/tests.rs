use proptest::prelude::*;

use super::*;

fn whole(read: &[u8]) -> Result<Header, HeaderFault> {
    match progress(read)? {
        Progress::Whole(header) => Ok(header),
        Progress::More(more) => panic!("{more} more for {read:?}"),
    }
}

fn client(source: &str, destination: &str) -> Header {
    let [source, destination] = [source, destination].map(|text| text.parse().unwrap());
    Header::Client { source, destination }
}

/// A header of version 2.
fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [&SIGNATURE[..], &[command, family], &length, rest].concat()
}

const V4: [u8; 12] = [192, 0, 2, 7, 203, 0, 113, 5, 0x1f, 0x90, 0, 21];

#[test]
fn version_1_tells_both_ends() {
    assert_eq!(whole(b"PROXY TCP4 192.0.2.7 203.0.113.5 8080 21\r\n"), Ok(client("192.0.2.7:8080", "203.0.113.5:21")));
    let v6 = b"PROXY TCP6 2001:db8::7 2001:db8::5 8080 21\r\n";
    assert_eq!(whole(v6), Ok(client("[2001:db8::7]:8080", "[2001:db8::5]:21")));
    let mapped = b"PROXY TCP6 ::ffff:192.0.2.7 ::ffff:203.0.113.5 8080 21\r\n";
    assert_eq!(whole(mapped), Ok(client("192.0.2.7:8080", "203.0.113.5:21")), "as IPv4, which it is");
    assert_eq!(whole(b"PROXY UNKNOWN\r\n"), Ok(Header::Itself));
    assert_eq!(whole(b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n"), Ok(Header::Itself));
    let longest = format!("PROXY UNKNOWN {0} {0} 65535 65535\r\n", ["ffff"; 8].join(":"));
    assert_eq!((longest.len(), whole(longest.as_bytes())), (LINE_BYTES_MAX, Ok(Header::Itself)));
}

#[test]
fn version_2_tells_both_ends() {
    assert_eq!(whole(&binary(0x21, 0x11, &V4)), Ok(client("192.0.2.7:8080", "203.0.113.5:21")));
    let mut v6 = Vec::new();
    for address in ["2001:db8::7", "2001:db8::5"] {
        v6.extend_from_slice(&address.parse::<Ipv6Addr>().unwrap().octets());
    }
    v6.extend_from_slice(&[0x1f, 0x90, 0, 21]);
    assert_eq!(whole(&binary(0x21, 0x21, &v6)), Ok(client("[2001:db8::7]:8080", "[2001:db8::5]:21")));
    let with_more = [&V4[..], &[0x04, 0, 3, 1, 2, 3]].concat();
    assert_eq!(whole(&binary(0x21, 0x11, &with_more)), Ok(client("192.0.2.7:8080", "203.0.113.5:21")));
    for itself in [binary(0x20, 0x00, &[]), binary(0x20, 0x11, &V4), binary(0x21, 0x00, &[9; 40])] {
        assert_eq!(whole(&itself), Ok(Header::Itself));
    }
}

#[test]
fn what_is_no_header_is_told_apart() {
    for other in [&b"USER alice\r\n"[..], b"\x16\x03\x01", b"PROXYTCP4", b"proxy TCP4 ", b"\r\n\r\n\0\r\nQUIX", b"P\0"]
    {
        assert_eq!(whole(other), Err(HeaderFault::Missing), "{other:?}");
    }
    for bad in [
        "TCP4 192.0.2.7 203.0.113.5 8080",
        "TCP4 192.0.2.7 203.0.113.5 8080 21 ",
        "TCP4 192.0.2.7 203.0.113.5 8080 21 22",
        "TCP4  192.0.2.7 203.0.113.5 8080 21",
        "TCP4 192.0.2.7 203.0.113.5 +8080 21",
        "TCP4 192.0.2.7 203.0.113.5 08080 21",
        "TCP4 192.0.2.7 203.0.113.5 8080 65536",
        "TCP4 192.0.2.07 203.0.113.5 8080 21",
        "TCP4 2001:db8::7 2001:db8::5 8080 21",
        "TCP6 192.0.2.7 203.0.113.5 8080 21",
        "TCP6 fe80::1%eth0 2001:db8::5 8080 21",
        "UDP4 192.0.2.7 203.0.113.5 8080 21",
        "tcp4 192.0.2.7 203.0.113.5 8080 21",
        "TCP4 host.example 203.0.113.5 8080 21",
    ] {
        assert_eq!(whole(format!("PROXY {bad}\r\n").as_bytes()), Err(HeaderFault::Malformed), "{bad}");
    }
    for bad in [&b"PROXY TCP4 1\n"[..], b"PROXY TCP4 1\rx", b"PROXY UNKNOWN\r\r\n", b"PROXY UNKNOWN\nX\r\n"] {
        assert_eq!(whole(bad), Err(HeaderFault::Malformed), "{bad:?}");
    }
    for (bad, fault) in [
        (binary(0x11, 0x11, &V4), HeaderFault::Malformed),
        (binary(0x22, 0x11, &V4), HeaderFault::Malformed),
        (binary(0x21, 0x11, &V4[..11]), HeaderFault::Malformed),
        (binary(0x21, 0x21, &V4), HeaderFault::Malformed),
        (binary(0x21, 0x12, &V4), HeaderFault::Unsupported),
        (binary(0x21, 0x31, &[0; 216]), HeaderFault::Unsupported),
        (binary(0x21, 0x11, &[0; REST_BYTES_MAX + 1]), HeaderFault::TooLong),
    ] {
        assert_eq!(whole(&bad), Err(fault), "{bad:?}");
    }
    assert_eq!(whole(&[b"PROXY UNKNOWN ", &[b'x'; 92][..]].concat()), Err(HeaderFault::TooLong));
}

/// Reads a header from a connection that gives its bytes in pieces of this size.
async fn read_in_pieces(bytes: &[u8], piece: usize) -> (Result<Header, HeaderFault>, Vec<u8>) {
    use tokio::io::AsyncWriteExt;
    let (mut near, mut far) = tokio::io::duplex(piece);
    let bytes = bytes.to_vec();
    let sending = tokio::spawn(async move {
        let _ = far.write_all(&bytes).await;
    });
    let header = read_header(&mut near).await;
    let mut rest = Vec::new();
    let _ = near.read_to_end(&mut rest).await;
    sending.await.unwrap();
    (header, rest)
}

#[tokio::test]
async fn not_a_byte_of_what_follows_is_taken() {
    let headers = [b"PROXY TCP4 192.0.2.7 203.0.113.5 8080 21\r\n".to_vec(), binary(0x21, 0x11, &V4)];
    for header in headers {
        for piece in [1, 2, 7, 4096] {
            let sent = [&header[..], b"\x16\x03\x01 and more"].concat();
            let (read, rest) = read_in_pieces(&sent, piece).await;
            assert!(matches!(read, Ok(Header::Client { .. })), "{read:?}");
            assert_eq!(rest, b"\x16\x03\x01 and more");
        }
    }
}

#[tokio::test]
async fn an_end_within_is_a_fault() {
    assert_eq!(read_in_pieces(b"", 8).await.0, Err(HeaderFault::Nothing));
    assert_eq!(read_in_pieces(b"PROXY TCP4 192.0.2", 8).await.0, Err(HeaderFault::Malformed));
}

proptest! {
    /// Whatever comes, the parser ends within its bound, and asks for no byte behind the header.
    #[test]
    fn noise_is_bounded(noise in prop::collection::vec(any::<u8>(), 0..1200), kind in 0..3_u8) {
        let sent = match kind {
            0 => noise,
            1 => [WORD, &noise].concat(),
            _ => [&SIGNATURE[..], &noise].concat(),
        };
        let mut read = 0;
        while let Ok(Progress::More(more)) = progress(&sent[..read]) {
            prop_assert!(more > 0 && read + more <= FIXED_BYTES + REST_BYTES_MAX);
            if read + more > sent.len() {
                break;
            }
            read += more;
        }
    }

    #[test]
    fn every_address_and_port_comes_through(source in any::<([u8; 16], u16)>(), destination in any::<([u8; 16], u16)>()) {
        let [from, to] = [source, destination].map(|(ip, port)| SocketAddr::new(Ipv6Addr::from(ip).into(), port));
        let [plain_from, plain_to] = [from, to].map(|at| SocketAddr::new(at.ip().to_canonical(), at.port()));
        let expected = Ok(Progress::Whole(Header::Client { source: plain_from, destination: plain_to }));
        let text = format!("PROXY TCP6 {} {} {} {}\r\n", from.ip(), to.ip(), from.port(), to.port());
        prop_assert_eq!(progress(text.as_bytes()), expected);
        let ports = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
        let rest = [&source.0[..], &destination.0, &ports].concat();
        prop_assert_eq!(progress(&binary(0x21, 0x21, &rest)), expected);
        // And every beginning of it wants more.
        for cut in 0..text.len() {
            prop_assert!(matches!(progress(&text.as_bytes()[..cut]), Ok(Progress::More(more)) if more <= text.len() - cut));
        }
    }
}
