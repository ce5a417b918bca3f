//! What a line says: the record as far as readers look at it. Texts are borrowed from the line where
//! they stand there as they are.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::ops::Deref;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use serde_json::value::RawValue;

/// A record.
#[derive(Debug, Deserialize)]
pub struct Entry<'a> {
    /// Its number.
    pub seq: u64,
    /// When it was written, in milliseconds since the Unix epoch.
    pub time: i64,
    /// The same in RFC 3339, to the microsecond.
    #[serde(borrow)]
    pub time_dt: Text<'a>,
    /// 1 informational to 5 critical.
    pub severity_id: u32,
    /// 1 as asked, 2 not.
    pub status_id: u32,
    /// Why not.
    pub status_detail: Option<Text<'a>>,
    /// Milliseconds.
    pub duration: Option<u64>,
    /// What happened.
    pub metadata: Metadata<'a>,
    /// Who did it.
    #[serde(default)]
    pub actor: Actor<'a>,
    /// The client.
    pub src_endpoint: Option<Endpoint>,
    /// The server.
    pub dst_endpoint: Option<Endpoint>,
    /// TLS on the control connection.
    pub tls: Option<Tls<'a>>,
    /// The verb.
    pub command: Option<Text<'a>>,
    /// The reply codes.
    #[serde(default)]
    pub codes: Vec<u16>,
    /// The file concerned.
    pub file: Option<File<'a>>,
    /// What a renamed file is now.
    pub file_result: Option<File<'a>>,
    /// Bytes of content.
    pub traffic: Option<Traffic>,
    /// What OCSF has no name for; see [`Entry::detail`].
    pub unmapped: Option<&'a RawValue>,
}

/// What happened.
#[derive(Debug, Deserialize)]
pub struct Metadata<'a> {
    /// The event's word.
    #[serde(borrow)]
    pub event_code: Text<'a>,
    /// The record's ULID.
    pub uid: Text<'a>,
}

/// Who did something.
#[derive(Debug, Default, Deserialize)]
pub struct Actor<'a> {
    /// The user, as known or as claimed.
    #[serde(borrow)]
    pub user: Option<User<'a>>,
    /// The session.
    pub session: Option<Session<'a>>,
}

/// A user.
#[derive(Debug, Deserialize)]
pub struct User<'a> {
    /// The name.
    #[serde(borrow)]
    pub name: Text<'a>,
}

/// A session.
#[derive(Debug, Deserialize)]
pub struct Session<'a> {
    /// Its ULID.
    #[serde(borrow)]
    pub uid: Text<'a>,
}

/// One end of the control connection.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Endpoint {
    /// The address.
    pub ip: IpAddr,
    /// The port.
    pub port: u16,
}

/// TLS on the control connection.
#[derive(Debug, Deserialize)]
pub struct Tls<'a> {
    /// `1.2` or `1.3`.
    #[serde(borrow)]
    pub version: Text<'a>,
    /// The cipher suite.
    pub cipher: Text<'a>,
    /// Whether the handshake resumed a session.
    #[serde(default)]
    pub is_resumed: bool,
}

/// A file or directory.
#[derive(Debug, Deserialize)]
pub struct File<'a> {
    /// Its path in the user's tree.
    #[serde(borrow)]
    pub path: Text<'a>,
    /// Its size in bytes.
    pub size: Option<u64>,
    /// Digests over its content.
    #[serde(default)]
    pub hashes: Vec<Hash<'a>>,
}

/// A digest.
#[derive(Debug, Deserialize)]
pub struct Hash<'a> {
    /// Its kind.
    #[serde(borrow)]
    pub algorithm: Text<'a>,
    /// In hexadecimal.
    pub value: Text<'a>,
}

/// Bytes of content.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct Traffic {
    /// From the client.
    pub bytes_in: u64,
    /// To the client.
    pub bytes_out: u64,
}

/// A further fact of a record.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// A text.
    Text(String),
    /// A number.
    Number(u64),
    /// A truth value.
    Flag(bool),
}

impl<'a> Entry<'a> {
    /// What a line says.
    ///
    /// # Errors
    /// Where it is no record.
    pub fn parse(line: &'a [u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(line)
    }

    /// The event's word.
    pub fn event(&self) -> &str {
        &self.metadata.event_code
    }

    /// Whether it went as asked.
    pub fn succeeded(&self) -> bool {
        self.status_id == 1
    }

    /// The user, as known or as claimed.
    pub fn user(&self) -> Option<&str> {
        self.actor.user.as_ref().map(|user| &*user.name)
    }

    /// The session's ULID.
    pub fn session(&self) -> Option<&str> {
        self.actor.session.as_ref().map(|session| &*session.uid)
    }

    /// The client's address.
    pub fn client(&self) -> Option<IpAddr> {
        self.src_endpoint.map(|endpoint| endpoint.ip)
    }

    /// The path of the file concerned.
    pub fn path(&self) -> Option<&str> {
        self.file.as_ref().map(|file| &*file.path)
    }

    /// A further fact, by its name under `unmapped`.
    pub fn detail(&self, name: &str) -> Option<Fact> {
        let text = self.unmapped?.get();
        // Most records are asked for facts that they do not have.
        memchr::memmem::find(text.as_bytes(), name.as_bytes())?;
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).ok()?;
        match object.get(name)? {
            serde_json::Value::String(text) => Some(Fact::Text(text.clone())),
            serde_json::Value::Number(number) => number.as_u64().map(Fact::Number),
            serde_json::Value::Bool(flag) => Some(Fact::Flag(*flag)),
            _ => None,
        }
    }

    /// A further fact that is a text.
    pub fn detail_text(&self, name: &str) -> Option<String> {
        if let Some(Fact::Text(text)) = self.detail(name) { Some(text) } else { None }
    }

    /// A further fact that is a number.
    pub fn detail_number(&self, name: &str) -> Option<u64> {
        if let Some(Fact::Number(number)) = self.detail(name) { Some(number) } else { None }
    }
}

/// A text, borrowed where it stands in the line as it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Text<'a>(Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Borrowing;
        impl<'de> Visitor<'de> for Borrowing {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Borrowing)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;

    use jiff::Timestamp;

    use super::*;
    use crate::audit::chain::ChainHash;
    use crate::audit::event::Event;
    use crate::audit::json::{Stamp, append_line};
    use crate::audit::record::{Detail, FileFacts, Record, SessionFacts, Traffic as Moved};

    #[test]
    fn what_was_written_is_read() {
        let client: SocketAddr = "192.0.2.7:4000".parse().unwrap();
        let mut record = Record::new(Event::FileUpload).failed("quota").with("rule", Detail::Text("a \"b\"".into()));
        record = record.with("count", Detail::Number(3)).with("changed", Detail::Flag(true));
        record.user = Some("alice".into());
        record.command = Some("STOR");
        record.session = Some(Arc::new(SessionFacts {
            id: "01SESSION".into(),
            created_micros: 0,
            client,
            server: client,
            proxy: None,
            policy: "p".into(),
        }));
        record.file = Some(FileFacts {
            path: "/in/\u{202e}x".into(),
            directory: false,
            size: Some(5),
            digest: None,
            renamed_to: None,
        });
        record.traffic = Some(Moved { bytes_in: 5, bytes_out: 0 });
        let mut line = Vec::new();
        let stamp = Stamp { seq: 9, time: Timestamp::UNIX_EPOCH, uid: "01RECORD", late: false };
        append_line(&mut line, &stamp, &record, ChainHash::NONE).unwrap();
        let entry = Entry::parse(&line).unwrap();
        assert_eq!((entry.seq, entry.event(), entry.succeeded()), (9, "file.upload", false));
        assert_eq!((entry.user(), entry.session()), (Some("alice"), Some("01SESSION")));
        assert_eq!((entry.client(), entry.path()), (Some(client.ip()), Some("/in/\u{202e}x")));
        assert_eq!(entry.status_detail.as_deref(), Some("quota"));
        assert_eq!(entry.detail_text("rule").as_deref(), Some("a \"b\""));
        assert_eq!((entry.detail_number("count"), entry.detail("changed")), (Some(3), Some(Fact::Flag(true))));
        assert_eq!(entry.detail("absent"), None);
    }
}
