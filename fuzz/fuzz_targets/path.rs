//! Every path that is accepted is canonical: resolving it again changes nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis::proto::path::{VirtualPath, is_presentable};

fuzz_target!(|input: (&[u8], &[u8])| {
    let root = VirtualPath::root();
    let base = root.join(input.0).unwrap_or_else(|_| root.clone());
    if let Ok(path) = base.join(input.1) {
        assert!(path.names().all(is_presentable));
        assert!(path.names().all(|name| name != "." && name != ".."));
        assert_eq!(root.join(path.as_str().as_bytes()).as_ref(), Ok(&path));
        assert!(path.is_within(&path.parent()));
    }
});
