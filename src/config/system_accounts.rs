//! Accounts and groups of the machine, from `/etc/passwd` and `/etc/group`.

use std::path::Path;

use super::RunAs;
use super::files::{self, Links};

/// Most that is read of `/etc/passwd` or `/etc/group`, in bytes.
const BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Looks an account up in `/etc/passwd`. Accounts that only a directory service knows are not
/// found: the server's own account has to exist when the network does not.
pub(crate) fn find(name: &str) -> Option<RunAs> {
    parse(&text("/etc/passwd")?, name)
}

/// The name of a user id.
pub(super) fn user_name(uid: u32) -> Option<String> {
    name_of(&text("/etc/passwd")?, uid)
}

/// The name of a group id.
pub(super) fn group_name(gid: u32) -> Option<String> {
    name_of(&text("/etc/group")?, gid)
}

fn text(path: &str) -> Option<String> {
    let content = files::read(Path::new(path), BYTES_MAX, Links::Follow).ok()?;
    Some(String::from_utf8_lossy(&content.bytes).into_owned())
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

/// The first name with an id in the text of a `passwd` or `group` file, both `name:x:id:…`.
fn name_of(text: &str, id: u32) -> Option<String> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let found: u32 = fields.nth(1)?.parse().ok()?;
        (found == id).then(|| name.to_owned())
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
        assert_eq!(name_of(text, 990).as_deref(), Some("portcullis"));
        assert_eq!((name_of(text, 3), name_of(text, 991)), (None, None));
    }
}
