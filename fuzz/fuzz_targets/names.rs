//! Whatever a name server answers, reading it ends with addresses or with a fault.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis::net::names::addresses_in_answer;

fuzz_target!(|answer: &[u8]| {
    if let Ok(addresses) = addresses_in_answer(answer) {
        assert!(!addresses.is_empty());
    }
});
