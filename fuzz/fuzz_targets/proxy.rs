//! A PROXY header is whole, wants more, or is none: within its bound, and with no byte of what
//! follows it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis::net::proxy::{Progress, progress};

fuzz_target!(|sent: &[u8]| {
    let mut read = 0;
    while let Ok(Progress::More(more)) = progress(&sent[..read]) {
        assert!(more > 0 && read + more <= 2048);
        if read + more > sent.len() {
            break;
        }
        read += more;
    }
});
