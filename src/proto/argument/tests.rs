use proptest::prelude::*;

use super::*;

#[test]
fn types_of_rfc_959() {
    use TypeArgument::{NotServed, Served};
    for (text, expected) in [
        ("I", Ok(Served(Representation::Image))),
        ("i", Ok(Served(Representation::Image))),
        ("L 8", Ok(Served(Representation::Image))),
        ("A", Ok(Served(Representation::Ascii))),
        ("A N", Ok(Served(Representation::Ascii))),
        ("A T", Ok(NotServed)),
        ("E", Ok(NotServed)),
        ("L 7", Ok(NotServed)),
        ("", Err(Unreadable)),
        ("X", Err(Unreadable)),
        ("A N N", Err(Unreadable)),
    ] {
        assert_eq!(representation(text.as_bytes()), expected, "{text:?}");
    }
}

#[test]
fn numbers_are_digits_within_what_a_file_can_have() {
    assert_eq!(number(b"0"), Ok(0));
    assert_eq!(number(b"9223372036854775807"), Ok(i64::MAX as u64));
    for bad in ["", "-1", "+5", "0x10", "1e9", " 1", "9223372036854775808", "18446744073709551616", "1.5"] {
        assert_eq!(number(bad.as_bytes()), Err(Unreadable), "{bad:?}");
    }
    assert_eq!(allocation(b"100 R 20"), Ok(100));
    assert_eq!(allocation(b"100 X 20"), Err(Unreadable));
}

#[test]
fn port_takes_six_bytes() {
    assert_eq!(port(b"192,0,2,7,200,10"), Ok("192.0.2.7:51210".parse().unwrap()));
    for bad in ["1,2,3,4,5", "256,0,0,1,1,1", "-1,0,0,1,1,1", "1,2,3,4,5,6,7", "+1,2,3,4,5,6", ""] {
        assert_eq!(port(bad.as_bytes()), Err(Unreadable), "{bad:?}");
    }
}

#[test]
fn eprt_takes_any_delimiter_and_both_families() {
    assert_eq!(eprt(b"|1|192.0.2.7|51210|"), Ok(EprtArgument::Address("192.0.2.7:51210".parse().unwrap())));
    assert_eq!(eprt(b"!2!2001:db8::1!6000!"), Ok(EprtArgument::Address("[2001:db8::1]:6000".parse().unwrap())));
    assert_eq!(eprt(b"|3|x|1|"), Ok(EprtArgument::UnknownFamily));
    for bad in ["", "|", "|1|192.0.2.7|51210", "|1|192.0.2.7|70000|", "|1|2001:db8::1|1|", "|1|192.0.2.7|1|x"] {
        assert_eq!(eprt(bad.as_bytes()), Err(Unreadable), "{bad:?}");
    }
}

#[test]
fn times_are_fourteen_digits_of_a_real_moment() {
    assert_eq!(time(b"19700101000000"), Ok(0));
    assert_eq!(time(b"20261122061502.123"), Ok(1_795_328_102));
    for bad in
        ["20261301000000", "20260230000000", "19691231235959", "2026112206150", "2026112206150x", "20261122061502."]
    {
        assert_eq!(time(bad.as_bytes()), Err(Unreadable), "{bad:?}");
    }
}

#[test]
fn modes_are_octal_and_tell_special_bits() {
    use ModeArgument::{Plain, Special};
    for (text, expected) in [("644", Plain(0o644)), ("0755", Plain(0o755)), ("000", Plain(0)), ("4755", Special)] {
        assert_eq!(mode(text.as_bytes()), Ok(expected), "{text}");
    }
    for bad in ["", "7", "64", "00644", "888", "+44", "-44", "0x1", "u+x", "64 "] {
        assert_eq!(mode(bad.as_bytes()), Err(Unreadable), "{bad:?}");
    }
}

#[test]
fn both_forms_of_utime_tell_a_time_and_a_path() {
    const T: i64 = 1_577_836_800;
    for (text, seconds, path) in [
        ("202001010000 a b", T, "a b"),
        ("20200101000001 a", T + 1, "a"),
        ("a b 19990101000000 20200101000000 19980101000000 UTC", T, "a b"),
        ("a 199901010000 202001010000 199801010000 utc", T, "a"),
        // The end tells the form, whatever the path looks like.
        ("20200101000000 19990101000000 20200101000000 19980101000000 UTC", T, "20200101000000"),
        ("20200101000000 a 20200101000000 UTC", T, "a 20200101000000 UTC"),
    ] {
        assert_eq!(utime(text.as_bytes()), Ok((seconds, path.as_bytes())), "{text}");
    }
    for bad in [
        "",
        "a",
        "20200101000000",
        "20200101000000 ",
        "2020010100 a",
        "a 20200101000000 20200101000000 20200101000000",
        "a 20200101000000 20201301000000 20200101000000 UTC",
        " 20200101000000 20200101000000 20200101000000 UTC",
    ] {
        assert_eq!(utime(bad.as_bytes()), Err(Unreadable), "{bad:?}");
    }
}

#[test]
fn option_words_are_skipped() {
    assert_eq!(without_options(b"-la"), b"");
    assert_eq!(without_options(b"-a -l dir"), b"dir");
    assert_eq!(without_options(b"-la  "), b" ");
    assert_eq!(without_options(b"-"), b"-");
    assert_eq!(without_options(b"-la -- -name"), b"-name");
    assert_eq!(without_options(b"--"), b"");
    assert_eq!(without_options(b"--name"), b"--name");
    assert_eq!(without_options(b"a -l"), b"a -l");
}

#[test]
fn epsv_forms() {
    assert_eq!(epsv(b""), Ok(EpsvArgument::Same));
    assert_eq!(epsv(b"all"), Ok(EpsvArgument::All));
    assert_eq!(epsv(b"2"), Ok(EpsvArgument::Protocol(Family::V6)));
    assert_eq!(epsv(b"3"), Ok(EpsvArgument::Unknown));
    assert_eq!(epsv(b"x"), Err(Unreadable));
}

proptest! {
    #[test]
    fn nothing_panics(argument in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = (representation(&argument), protection(&argument), number(&argument), allocation(&argument));
        let _ = (mode(&argument), utime(&argument));
        let _ = (epsv(&argument), port(&argument), eprt(&argument), time(&argument), without_options(&argument));
    }
}
