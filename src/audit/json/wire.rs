//! What stands in a line: the names of OCSF 1.4, and under `unmapped` what it has none for.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::Stamp;
use crate::audit::record::{DataFacts, Detail, Digest, FileFacts, Outcome, Record, SessionFacts, TlsFacts};
use crate::audit::text::{self, Cut, TEXT_BYTES_MAX, USER_BYTES_MAX};

/// The OCSF version whose names are used.
const SCHEMA_VERSION: &str = "1.4.0";

/// One line.
#[derive(Serialize)]
pub(super) struct Line<'a> {
    seq: u64,
    time: i64,
    #[serde(serialize_with = "rfc3339")]
    time_dt: Timestamp,
    class_uid: u32,
    activity_id: u32,
    type_uid: u32,
    category_uid: u32,
    severity_id: u32,
    status_id: u32,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "displayed")]
    status_code: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_detail: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<u64>,
    metadata: Metadata<'a>,
    #[serde(skip_serializing_if = "Actor::is_empty")]
    actor: Actor<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    src_endpoint: Option<Endpoint>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dst_endpoint: Option<Endpoint>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<Tls<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<&'static str>,
    #[serde(skip_serializing_if = "<[u16]>::is_empty")]
    codes: &'a [u16],
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    representation: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<File<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_result: Option<File<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traffic: Option<Traffic>,
    #[serde(skip_serializing_if = "Unmapped::is_empty")]
    unmapped: Unmapped<'a>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    version: &'static str,
    product: Product,
    uid: &'a str,
    event_code: &'static str,
    log_name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_uid: Option<&'a str>,
    sequence: u64,
}

#[derive(Serialize)]
struct Product {
    name: &'static str,
    vendor_name: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
struct Actor<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<User<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<Session<'a>>,
}

#[derive(Serialize)]
struct User<'a> {
    name: &'a str,
}

#[derive(Serialize)]
struct Session<'a> {
    uid: &'a str,
    created_time: i64,
}

#[derive(Serialize)]
struct Endpoint {
    ip: IpAddr,
    port: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    svc_name: Option<&'static str>,
}

#[derive(Serialize)]
struct Tls<'a> {
    version: &'static str,
    cipher: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sni: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alpn: Option<[&'a str; 1]>,
    is_resumed: bool,
}

#[derive(Serialize)]
struct File<'a> {
    name: &'a str,
    path: &'a str,
    type_id: u32,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hashes: Option<[Hash<'a>; 1]>,
}

#[derive(Serialize)]
struct Hash<'a> {
    algorithm_id: u32,
    algorithm: &'static str,
    value: &'a str,
}

#[derive(Serialize)]
struct Traffic {
    bytes_in: u64,
    bytes_out: u64,
}

/// What OCSF has no name for.
struct Unmapped<'a> {
    data_binding: Option<&'static str>,
    data_tls: Option<&'static str>,
    data_exception: Option<&'a str>,
    key_exchange: Option<&'a str>,
    policy: Option<&'a str>,
    details: Vec<(&'static str, Fact<'a>)>,
    late: bool,
    truncated: &'a [Cut],
}

#[derive(Serialize)]
#[serde(untagged)]
enum Fact<'a> {
    Text(&'a str),
    Number(u64),
    Flag(bool),
}

impl<'a> Line<'a> {
    /// The line of a record; what was cut of its texts is added to `cuts`.
    pub(super) fn new(stamp: &Stamp<'a>, record: &'a Record, cuts: &mut Vec<Cut>) -> Self {
        let row = record.event.description();
        let session = record.session.as_deref();
        let (status_id, status_detail) = match record.outcome {
            Outcome::Success => (1, None),
            Outcome::Failure(reason) => (2, Some(reason)),
        };
        Self {
            seq: stamp.seq,
            time: stamp.time.as_millisecond(),
            time_dt: stamp.time,
            class_uid: row.class.uid(),
            activity_id: row.activity,
            type_uid: row.type_uid(),
            category_uid: row.class.category(),
            severity_id: row.severity.id(),
            status_id,
            status_code: record.codes.last().copied(),
            status_detail,
            duration: record.duration.map(milliseconds),
            metadata: Metadata {
                version: SCHEMA_VERSION,
                product: Product { name: "portcullis", vendor_name: "Portcullis", version: env!("CARGO_PKG_VERSION") },
                uid: stamp.uid,
                event_code: row.code,
                log_name: "audit",
                correlation_uid: session.map(|facts| bounded("metadata.correlation_uid", &facts.id, cuts)),
                sequence: stamp.seq,
            },
            actor: Actor {
                user: record
                    .user
                    .as_deref()
                    .map(|name| User { name: text::bounded("actor.user.name", name, USER_BYTES_MAX, cuts) }),
                session: session.map(|facts| Session::new(facts, cuts)),
            },
            src_endpoint: session.map(|facts| Endpoint::new(facts.client, None)),
            dst_endpoint: session.map(|facts| Endpoint::new(facts.server, Some("ftps"))),
            tls: record.tls.as_deref().map(|facts| Tls::new(facts, cuts)),
            command: record.command,
            codes: &record.codes,
            representation: record.data.as_ref().map(representation),
            port: record.data.as_ref().map(|data| data.port),
            file: record.file.as_ref().map(|facts| File::new(facts, cuts)),
            file_result: record.file.as_ref().and_then(|facts| File::renamed(facts, cuts)),
            traffic: record.traffic.map(|t| Traffic { bytes_in: t.bytes_in, bytes_out: t.bytes_out }),
            unmapped: Unmapped::new(record, stamp.late, cuts),
        }
    }

    /// Lists what was cut.
    pub(super) fn list_cuts(&mut self, cuts: &'a [Cut]) {
        self.unmapped.truncated = cuts;
    }
}

impl Actor<'_> {
    fn is_empty(&self) -> bool {
        self.user.is_none() && self.session.is_none()
    }
}

impl<'a> Session<'a> {
    fn new(facts: &'a SessionFacts, cuts: &mut Vec<Cut>) -> Self {
        Self { uid: bounded("actor.session.uid", &facts.id, cuts), created_time: facts.created_micros.div_euclid(1000) }
    }
}

impl Endpoint {
    /// IPv4 clients of an IPv6 socket are written as what they are.
    fn new(address: SocketAddr, svc_name: Option<&'static str>) -> Self {
        Self { ip: address.ip().to_canonical(), port: address.port(), svc_name }
    }
}

impl<'a> Tls<'a> {
    fn new(facts: &'a TlsFacts, cuts: &mut Vec<Cut>) -> Self {
        Self {
            version: facts.version,
            cipher: bounded("tls.cipher", &facts.cipher, cuts),
            sni: facts.server_name.as_deref().map(|name| bounded("tls.sni", name, cuts)),
            alpn: facts.alpn.as_deref().map(|name| [bounded("tls.alpn", name, cuts)]),
            is_resumed: facts.resumed,
        }
    }
}

impl<'a> File<'a> {
    fn new(facts: &'a FileFacts, cuts: &mut Vec<Cut>) -> Self {
        let hashes = facts.digest.as_ref().map(|digest| [Hash::new(digest, cuts)]);
        Self { size: facts.size, hashes, ..Self::named("file.path", "file.name", &facts.path, facts.directory, cuts) }
    }

    /// What the file is after a rename.
    fn renamed(facts: &'a FileFacts, cuts: &mut Vec<Cut>) -> Option<Self> {
        let path = facts.renamed_to.as_deref()?;
        Some(Self::named("file_result.path", "file_result.name", path, facts.directory, cuts))
    }

    fn named(
        path_field: &'static str,
        name_field: &'static str,
        path: &'a str,
        directory: bool,
        cuts: &mut Vec<Cut>,
    ) -> Self {
        let name = path.rsplit('/').find(|name| !name.is_empty()).unwrap_or("/");
        let (type_id, kind) = if directory { (2, "Folder") } else { (1, "Regular File") };
        Self {
            name: bounded(name_field, name, cuts),
            path: bounded(path_field, path, cuts),
            type_id,
            kind,
            size: None,
            hashes: None,
        }
    }
}

impl<'a> Hash<'a> {
    fn new(digest: &'a Digest, cuts: &mut Vec<Cut>) -> Self {
        let (algorithm_id, algorithm) = match digest.algorithm {
            "md5" => (1, "MD5"),
            "sha1" => (2, "SHA-1"),
            "sha256" => (3, "SHA-256"),
            "sha512" => (4, "SHA-512"),
            "crc32" => (99, "CRC-32"),
            "blake3" => (99, "BLAKE3"),
            other => (99, other),
        };
        Self { algorithm_id, algorithm, value: bounded("file.hashes.value", &digest.hex, cuts) }
    }
}

impl<'a> Unmapped<'a> {
    fn new(record: &'a Record, late: bool, cuts: &mut Vec<Cut>) -> Self {
        let data = record.data.as_ref();
        let group = record.tls.as_deref().and_then(|tls| tls.group.as_deref());
        let mut fact = |name: &'static str, detail: &'a Detail| match detail {
            Detail::Text(text) => (name, Fact::Text(bounded(name, text, cuts))),
            Detail::Number(number) => (name, Fact::Number(*number)),
            Detail::Flag(flag) => (name, Fact::Flag(*flag)),
        };
        let details = record.details.iter().map(|(name, detail)| fact(name, detail)).collect();
        Self {
            data_binding: data.map(|facts| facts.binding),
            data_tls: data.map(|facts| if facts.resumed { "Resumed" } else { "Full" }),
            data_exception: data
                .and_then(|facts| facts.exception.as_deref())
                .map(|reason| bounded("data_exception", reason, cuts)),
            key_exchange: group.map(|name| bounded("kx", name, cuts)),
            policy: record.session.as_deref().map(|facts| bounded("policy", &facts.policy, cuts)),
            details,
            late,
            truncated: &[],
        }
    }

    fn is_empty(&self) -> bool {
        self.data_binding.is_none()
            && self.data_tls.is_none()
            && self.data_exception.is_none()
            && self.key_exchange.is_none()
            && self.policy.is_none()
            && self.details.is_empty()
            && !self.late
            && self.truncated.is_empty()
    }
}

impl Serialize for Unmapped<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let texts = [
            ("data_binding", self.data_binding),
            ("data_tls", self.data_tls),
            ("data_exception", self.data_exception),
            ("kx", self.key_exchange),
            ("policy", self.policy),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                map.serialize_entry(name, text)?;
            }
        }
        for (name, fact) in &self.details {
            map.serialize_entry(name, fact)?;
        }
        if self.late {
            map.serialize_entry("late", &true)?;
        }
        if !self.truncated.is_empty() {
            map.serialize_entry("truncated", self.truncated)?;
        }
        map.end()
    }
}

fn bounded<'a>(field: &'static str, text: &'a str, cuts: &mut Vec<Cut>) -> &'a str {
    text::bounded(field, text, TEXT_BYTES_MAX, cuts)
}

fn representation(data: &DataFacts) -> &'static str {
    if data.representation == 'A' { "ASCII" } else { "Binary" }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// RFC 3339 in UTC, with microseconds.
fn rfc3339<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{time:.6}"))
}

/// OCSF has the status code as text.
#[expect(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "serde hands the field over by reference")]
fn displayed<S: Serializer>(code: &Option<u16>, serializer: S) -> Result<S::Ok, S::Error> {
    match code {
        Some(code) => serializer.collect_str(code),
        None => serializer.serialize_none(),
    }
}
