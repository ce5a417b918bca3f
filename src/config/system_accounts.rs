//! Accounts of the machine, from `/etc/passwd`.

use super::RunAs;

/// Longest `/etc/passwd` that is read, in bytes.
const BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Looks an account up in `/etc/passwd`. Accounts that only a directory service knows are not
/// found: the server's own account has to exist when the network does not.
pub(super) fn find(name: &str) -> Option<RunAs> {
    let text = super::files::read(std::path::Path::new("/etc/passwd"), BYTES_MAX, super::files::Links::Follow).ok()?;
    parse(&String::from_utf8_lossy(&text.bytes), name)
}

/// Finds an account in the text of a `passwd` file: `name:x:uid:gid:…` (passwd(5)).
fn parse(text: &str, name: &str) -> Option<RunAs> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let found = fields.next().filter(|found| *found == name && !found.is_empty())?;
        let _password = fields.next()?;
        let (uid, gid) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        Some(RunAs { name: found.to_owned(), uid, gid })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_found_by_their_whole_name() {
        let text = "root:x:0:0:root:/root:/bin/sh\nbroken:x:one:2\n::3:3\nportcullis:x:990:991::/:/bin/false\n";
        let found = RunAs { name: "portcullis".into(), uid: 990, gid: 991 };
        assert_eq!(parse(text, "portcullis"), Some(found));
        for absent in ["port", "broken", "", "portcullis:x"] {
            assert_eq!(parse(text, absent), None, "{absent:?}");
        }
    }
}
