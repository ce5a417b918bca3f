//! Whatever stands in the files of a log, verification ends with a verdict, and proves nothing that no
//! key signed. The first byte says whether the first file is compressed, and where the second one begins.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis::audit::rotation::{COMPRESSED, closed_name};
use portcullis::trail::files::find;
use portcullis::trail::verify::{Options, State, verify};

fuzz_target!(|bytes: &[u8]| {
    let Some((&first, content)) = bytes.split_first() else { return };
    let directory = std::env::temp_dir().join(format!("portcullis-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let suffix = if first & 1 == 1 { COMPRESSED } else { "" };
    let closed_path = directory.join(closed_name(1) + suffix);
    let (closed, open) = content.split_at(content.len() * usize::from(first >> 1) / 127);
    std::fs::write(&closed_path, closed).unwrap();
    std::fs::write(directory.join("audit.jsonl"), open).unwrap();
    let files = find(&directory).unwrap();
    let verdict = verify(&files, &[], &Options::at(jiff::Timestamp::UNIX_EPOCH));
    assert!(verdict.state != State::Proven);
    // A thousand missing ranges are kept beside the hundred other findings.
    assert!(verdict.findings.len() <= 1_200);
    std::fs::remove_file(closed_path).unwrap();
});
