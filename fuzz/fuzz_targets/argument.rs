//! No argument panics, and what is read is within its bounds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis::proto::{argument, hash, host, verb};

fuzz_target!(|line: &[u8]| {
    let (word, rest) = verb::split(line);
    let _ = verb::Verb::parse(word);
    let _ = argument::representation(rest);
    let _ = argument::protection(rest);
    let _ = argument::epsv(rest);
    let _ = argument::port(rest);
    let _ = argument::eprt(rest);
    let _ = argument::allocation(rest);
    let _ = hash::Algorithm::parse(rest);
    let _ = hash::range(rest);
    assert!(hash::readings(rest).is_err() || hash::readings(rest).is_ok_and(|readings| readings[0].name == rest));
    assert!(host::host(rest).is_err() || rest.len() <= 254);
    assert!(argument::number(rest).is_err() || rest.iter().all(u8::is_ascii_digit));
    assert!(argument::time(rest).is_err() || argument::time(rest).is_ok_and(|seconds| seconds >= 0));
    assert!(rest.ends_with(argument::without_options(rest)));
});
