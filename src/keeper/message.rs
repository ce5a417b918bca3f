//! A record as a message of syslog (RFC 5424), or as an entry of the journal.

use std::fmt::Write as _;

use crate::audit::text::is_harmful;
use crate::trail::entry::Entry;

/// Longest record that is copied as it is, in bytes: far longer than any is. Of a longer one, what
/// names it is copied.
pub const RECORD_BYTES_MAX: usize = 1 << 16;
/// The id of our structured data. No number of our own is registered, so it is the one for examples
/// (RFC 5612).
const SD_ID: &str = "portcullis@32473";
/// Longest value of structured data, in characters.
const VALUE_CHARACTERS_MAX: usize = 256;
const APP_NAME: &str = "portcullis";
const HOST_NAME_MAX: usize = 255;

/// A record on its way to a receiver.
#[derive(Clone, Debug)]
pub struct Item {
    /// The line of the log, or what stands for it where that is too long.
    pub line: Vec<u8>,
    /// The facts that are given beside it.
    pub facts: Facts,
}

/// What of a record is told beside its line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Its number.
    pub seq: u64,
    /// When it was written, RFC 3339.
    pub time: String,
    /// What happened.
    pub event: String,
    /// As in the record, 1 to 5.
    pub severity: u32,
    /// Whether it went as asked.
    pub success: bool,
    /// The user.
    pub user: Option<String>,
    /// The client's address.
    pub address: Option<String>,
    /// The session.
    pub session: Option<String>,
}

impl Item {
    /// A line of the log; none where it is no record.
    pub fn of(line: &[u8]) -> Option<Self> {
        let entry = Entry::parse(line).ok()?;
        let facts = Facts {
            seq: entry.seq,
            time: entry.time_dt.to_string(),
            event: entry.event().to_owned(),
            severity: entry.severity_id,
            success: entry.succeeded(),
            user: entry.user().map(str::to_owned),
            address: entry.client().map(|address| address.to_string()),
            session: entry.session().map(str::to_owned),
        };
        let line = if line.len() > RECORD_BYTES_MAX { stand_in(&facts, line) } else { line.to_vec() };
        Some(Self { line, facts })
    }

    /// The same where a receiver takes only short ones.
    #[must_use]
    pub fn shortened(&self) -> Self {
        Self { line: stand_in(&self.facts, &self.line), facts: self.facts.clone() }
    }

    /// As a message of syslog.
    pub fn syslog(&self, facility: u8, host: &str) -> Vec<u8> {
        let Facts { seq, time, event, user, address, session, success, .. } = &self.facts;
        let priority = u32::from(facility).saturating_mul(8).saturating_add(self.severity());
        let mut head = format!("<{priority}>1 ");
        let time = if time.parse::<jiff::Timestamp>().is_ok() { time } else { "-" };
        let _ = write!(head, "{time} ");
        push_name(&mut head, host, HOST_NAME_MAX);
        let _ = write!(head, " {APP_NAME} - ");
        push_name(&mut head, event, 32);
        let _ = write!(head, " [{SD_ID} seq=\"{seq}\" outcome=\"{}\"", if *success { "success" } else { "failure" });
        push_value(&mut head, "event", Some(event));
        push_value(&mut head, "user", user.as_deref());
        push_value(&mut head, "address", address.as_deref());
        push_value(&mut head, "session", session.as_deref());
        head.push_str("] ");
        let mut message = head.into_bytes();
        message.extend_from_slice(&self.line);
        message
    }

    /// As an entry of the journal, in its native protocol.
    pub fn journal(&self) -> Vec<u8> {
        let Facts { seq, time, event, user, address, session, success, .. } = &self.facts;
        let outcome = if *success { "success" } else { "failure" };
        let mut entry = Vec::new();
        let mut field = |name: &str, value: Option<&str>| {
            if let Some(value) = value {
                push_field(&mut entry, name, value.as_bytes());
            }
        };
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
        let message = format!("{event} {outcome}, user {}, from {}, record {seq}", text(user), text(address));
        field("MESSAGE", Some(&message));
        field("PRIORITY", Some(&self.severity().to_string()));
        field("SYSLOG_IDENTIFIER", Some(APP_NAME));
        field("PORTCULLIS_SEQ", Some(&seq.to_string()));
        field("PORTCULLIS_TIME", Some(time));
        field("PORTCULLIS_EVENT", Some(event));
        field("PORTCULLIS_OUTCOME", Some(outcome));
        field("PORTCULLIS_USER", user.as_deref());
        field("PORTCULLIS_ADDRESS", address.as_deref());
        field("PORTCULLIS_SESSION", session.as_deref());
        push_field(&mut entry, "PORTCULLIS_RECORD", &self.line);
        entry
    }

    /// The severity of syslog (RFC 5424 §6.2.1).
    fn severity(&self) -> u32 {
        // 1 informational is 6, 5 critical is 2.
        7_u32.saturating_sub(self.facts.severity.clamp(1, 5))
    }
}

/// What is copied of a record that is too long: how to find it in the log.
fn stand_in(facts: &Facts, line: &[u8]) -> Vec<u8> {
    let Facts { seq, time, event, .. } = facts;
    let hash = crate::audit::chain::Sealed::parse(line).map(|sealed| sealed.hash.to_string());
    serde_json::json!({ "seq": seq, "time_dt": time, "event_code": event, "hash": hash, "bytes": line.len(), "cut": true })
        .to_string()
        .into_bytes()
}

/// A name of the header: printable ASCII without blanks.
fn push_name(head: &mut String, name: &str, most: usize) {
    let before = head.len();
    head.extend(name.chars().filter(char::is_ascii_graphic).take(most));
    if head.len() == before {
        head.push('-');
    }
}

/// A parameter of structured data.
fn push_value(head: &mut String, name: &str, value: Option<&str>) {
    let Some(value) = value else { return };
    let _ = write!(head, " {name}=\"");
    for c in value.chars().take(VALUE_CHARACTERS_MAX) {
        match c {
            '"' | '\\' | ']' => {
                head.push('\\');
                head.push(c);
            }
            // Receivers write this to text files, and people read those on terminals.
            c if is_harmful(c) => head.push('?'),
            c => head.push(c),
        }
    }
    head.push('"');
}

/// A field of the journal: on one line where it is one, and otherwise behind its length.
fn push_field(entry: &mut Vec<u8>, name: &str, value: &[u8]) {
    entry.extend_from_slice(name.as_bytes());
    if value.contains(&b'\n') {
        entry.push(b'\n');
        entry.extend_from_slice(&u64::try_from(value.len()).unwrap_or(u64::MAX).to_le_bytes());
    } else {
        entry.push(b'=');
    }
    entry.extend_from_slice(value);
    entry.push(b'\n');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn item(user: &str, line: &str) -> Item {
        let facts = Facts {
            seq: 7,
            time: "2026-11-22T06:15:02.123456Z".into(),
            event: "auth.failure".into(),
            severity: 2,
            success: false,
            user: Some(user.to_owned()),
            address: Some("192.0.2.7".into()),
            session: None,
        };
        Item { line: line.as_bytes().to_vec(), facts }
    }

    #[test]
    fn a_record_is_a_message_of_rfc_5424() {
        let message = item("al\"i]c\\e\u{1b}", "{\"seq\":7}").syslog(10, "files example.org");
        assert_eq!(
            String::from_utf8(message).unwrap(),
            "<85>1 2026-11-22T06:15:02.123456Z filesexample.org portcullis - auth.failure [portcullis@32473 seq=\"7\" \
             outcome=\"failure\" event=\"auth.failure\" user=\"al\\\"i\\]c\\\\e?\" address=\"192.0.2.7\"] {\"seq\":7}"
        );
        let nowhere = item("a", "x").syslog(10, " ");
        assert!(String::from_utf8(nowhere).unwrap().contains("Z - portcullis "));
    }

    #[test]
    fn a_record_is_an_entry_of_the_journal() {
        let entry = item("a\nb", "{\"seq\":7}").journal();
        let text = String::from_utf8_lossy(&entry);
        assert!(text.contains("PORTCULLIS_USER\n\u{3}\0\0\0\0\0\0\0a\nb\nPORTCULLIS_ADDRESS=192.0.2.7\n"), "{text}");
        assert!(text.contains("PRIORITY=5\nSYSLOG_IDENTIFIER=portcullis\nPORTCULLIS_SEQ=7\n"), "{text}");
        assert!(text.ends_with("PORTCULLIS_RECORD={\"seq\":7}\n"), "{text}");
    }

    #[test]
    fn of_a_record_that_is_too_long_what_names_it_is_copied() {
        let short = item("a", &"x".repeat(RECORD_BYTES_MAX)).shortened();
        let told: serde_json::Value = serde_json::from_slice(&short.line).unwrap();
        assert_eq!((told["seq"].as_u64(), told["bytes"].as_u64()), (Some(7), Some(65_536)));
    }

    proptest! {
        #[test]
        fn no_value_ends_the_structured_data(user in any::<String>()) {
            let message = String::from_utf8(item(&user, "{}").syslog(10, "h")).unwrap();
            let mut inside = false;
            let mut escaped = false;
            let end = message.char_indices().find(|(_, c)| {
                let end = *c == ']' && !inside;
                match c {
                    '"' if !escaped => inside = !inside,
                    _ => {}
                }
                escaped = *c == '\\' && !escaped;
                end
            });
            prop_assert_eq!(&message[end.unwrap().0..], "] {}");
            prop_assert!(!message.chars().any(char::is_control));
        }
    }
}
