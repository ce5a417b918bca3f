//! No text of the policy files panics their parser.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis::config;

fuzz_target!(|text: &str| {
    let (server, users) = text.split_once('\0').unwrap_or((text, ""));
    for problem in config::check_texts(server, users) {
        assert!(!problem.to_string().is_empty());
    }
});
