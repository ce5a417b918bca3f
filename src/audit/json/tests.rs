use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::audit::event::Event;
use crate::audit::record::{self, DataFacts, Detail, Digest, FileFacts, SessionFacts, TlsFacts};

fn stamp() -> Stamp<'static> {
    let time = Timestamp::from_microsecond(1_795_329_302_123_456).unwrap();
    Stamp { seq: 1841, time, uid: "01JD0000000000000000000000", late: false }
}

fn line(record: &Record) -> String {
    let mut buffer = Vec::new();
    append_line(&mut buffer, &stamp(), record, ChainHash::NONE).unwrap();
    String::from_utf8(buffer).unwrap()
}

fn session(id: &str) -> Arc<SessionFacts> {
    Arc::new(SessionFacts {
        id: id.to_owned(),
        created_micros: 1_795_329_300_000_999,
        client: "[::ffff:192.0.2.7]:51812".parse().unwrap(),
        server: "198.51.100.4:21".parse().unwrap(),
        proxy: None,
        policy: Arc::from("cafe"),
    })
}

fn upload() -> Record {
    let mut record = Record::new(Event::FileUpload);
    record.session = Some(session("01JDSESSION"));
    record.tls = Some(Arc::new(TlsFacts {
        version: "1.3",
        cipher: "TLS13_AES_256_GCM_SHA384".to_owned(),
        group: Some("X25519MLKEM768".to_owned()),
        server_name: Some("files.example".to_owned()),
        identity: [].into(),
        alpn: Some("ftp".to_owned()),
        resumed: false,
        exception: None,
        client: None,
    }));
    record.user = Some(Arc::from("alice"));
    record.command = Some("STOR");
    record.codes = vec![150, 226];
    record.duration = Some(Duration::from_micros(412_900));
    record.file = Some(FileFacts {
        path: "/in/r.csv".to_owned(),
        directory: false,
        size: Some(3_145_728),
        digest: Some(Digest { algorithm: "sha256", hex: "ab".repeat(32) }),
        renamed_to: None,
    });
    record.traffic = Some(record::Traffic { bytes_in: 3_145_728, bytes_out: 0 });
    record.data =
        Some(DataFacts { port: 50231, binding: "session", exception: None, resumed: true, representation: 'I' });
    record.with("rest", Detail::Number(0))
}

#[test]
fn an_upload_has_every_fact_under_its_name() {
    let mut written: Value = serde_json::from_str(&line(&upload())).unwrap();
    let expected = json!({
        "seq": 1841, "time": 1_795_329_302_123_i64, "time_dt": "2026-11-22T06:35:02.123456Z",
        "class_uid": 4008, "activity_id": 1, "type_uid": 400_801, "category_uid": 4, "severity_id": 1,
        "status_id": 1, "status_code": "226", "duration": 412,
        "metadata": {
            "version": "1.4.0",
            "product": {"name": "portcullis", "vendor_name": "Portcullis", "version": env!("CARGO_PKG_VERSION")},
            "uid": "01JD0000000000000000000000", "event_code": "file.upload", "log_name": "audit",
            "correlation_uid": "01JDSESSION", "sequence": 1841
        },
        "actor": {"user": {"name": "alice"}, "session": {"uid": "01JDSESSION", "created_time": 1_795_329_300_000_i64}},
        "src_endpoint": {"ip": "192.0.2.7", "port": 51812},
        "dst_endpoint": {"ip": "198.51.100.4", "port": 21, "svc_name": "ftps"},
        "tls": {"version": "1.3", "cipher": "TLS13_AES_256_GCM_SHA384", "sni": "files.example", "alpn": ["ftp"],
                "is_resumed": false},
        "command": "STOR", "codes": [150, 226], "type": "Binary", "port": 50231,
        "file": {"name": "r.csv", "path": "/in/r.csv", "type_id": 1, "type": "Regular File", "size": 3_145_728,
                 "hashes": [{"algorithm_id": 3, "algorithm": "SHA-256", "value": "ab".repeat(32)}]},
        "traffic": {"bytes_in": 3_145_728, "bytes_out": 0},
        "unmapped": {"data_binding": "session", "data_tls": "Resumed", "kx": "X25519MLKEM768", "policy": "cafe",
                     "rest": 0}
    });
    let chain = written.as_object_mut().unwrap().remove("chain").unwrap();
    assert_eq!((&chain["prev"], chain["hash"].as_str().map(str::len)), (&json!("A".repeat(43)), Some(43)));
    assert_eq!(written, expected);
}

#[test]
fn a_bare_event_has_no_empty_fields() {
    let written: Value = serde_json::from_str(&line(&Record::new(Event::ServiceStart))).unwrap();
    for absent in ["actor", "src_endpoint", "tls", "codes", "file", "file_result", "unmapped", "status_code"] {
        assert!(written.get(absent).is_none(), "{absent}");
    }
    assert_eq!(written["metadata"]["event_code"], "service.start");
}

#[test]
fn a_failure_says_why_and_a_rename_says_whereto() {
    let mut record = Record::new(Event::FileRename).failed("target_exists");
    record.file = Some(FileFacts {
        path: "/a".to_owned(),
        directory: true,
        size: None,
        digest: None,
        renamed_to: Some("/b/c".to_owned()),
    });
    let written: Value = serde_json::from_str(&line(&record)).unwrap();
    assert_eq!((&written["status_id"], &written["status_detail"]), (&json!(2), &json!("target_exists")));
    assert_eq!(written["file_result"], json!({"name": "c", "path": "/b/c", "type_id": 2, "type": "Folder"}));
}

#[test]
fn a_hostile_name_stays_one_harmless_line() {
    let hostile = "a\n{\"event\":1}\r\u{2028}\u{2029}\u{1b}]0;x\u{7}\u{7f}\u{9b}\u{202e}\u{e0041}\"\\";
    let mut record = upload();
    record.file.as_mut().unwrap().path = format!("/{hostile}");
    let written = line(&record);
    assert_eq!(written.lines().count(), 1);
    assert!(written.strip_suffix('\n').is_some_and(|line| !line.chars().any(text::is_harmful)));
    let parsed: Value = serde_json::from_str(&written).unwrap();
    assert_eq!(parsed["file"]["path"], format!("/{hostile}"));
}

#[test]
fn a_long_text_is_cut_and_recognisable() {
    let path = format!("/{}", "ä".repeat(2000));
    let mut record = upload();
    record.user = Some(Arc::from("x".repeat(65)));
    record.file.as_mut().unwrap().path.clone_from(&path);
    let parsed: Value = serde_json::from_str(&line(&record)).unwrap();
    assert_eq!(parsed["file"]["path"], path[..1023]);
    assert_eq!(parsed["actor"]["user"]["name"], "x".repeat(64));
    let cut = parsed["unmapped"]["truncated"].as_array().unwrap();
    assert!(cut.contains(&json!({"field": "file.path", "bytes": 4001,
        "blake3": blake3::hash(path.as_bytes()).to_hex().as_str()})));
    assert!(cut.iter().any(|entry| entry["field"] == "actor.user.name" && entry["bytes"] == 65));
}

/// Texts that hurt: long ones, controls, separators, quotes, and anything else.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[\\x00-\\x1f\"\\\\\u{7f}-\u{9f}\u{2028}-\u{202e}]{0,40}",
        "(?s).{0,3}".prop_map(|unit| unit.repeat(700)),
    ]
}

proptest! {
    #[test]
    fn any_record_is_one_line_that_reads_back(
        texts in prop::collection::vec(any_text(), 9),
        event in prop::sample::select(Event::ALL.to_vec()),
        size in any::<Option<u64>>(),
        late in any::<bool>(),
    ) {
        let mut record = upload();
        record.event = event;
        record.session = Some(session(&texts[0]));
        record.user = Some(Arc::from(texts[1].as_str()));
        let tls = TlsFacts {
            version: "1.2",
            cipher: texts[2].clone(),
            group: Some(texts[3].clone()),
            server_name: Some(texts[4].clone()),
            identity: [].into(),
            alpn: Some(texts[5].clone()),
            resumed: true,
            exception: None,
            client: None,
        };
        record.tls = Some(Arc::new(tls));
        let file = record.file.as_mut().unwrap();
        file.path = format!("/{}", texts[6]);
        file.size = size;
        record.data.as_mut().unwrap().exception = Some(texts[7].clone());
        let record = record.with("client", Detail::Text(texts[8].clone()));

        let mut buffer = b"before\n".to_vec();
        append_line(&mut buffer, &Stamp { late, ..stamp() }, &record, ChainHash::NONE).unwrap();
        let written = std::str::from_utf8(&buffer).unwrap().strip_prefix("before\n").unwrap();
        let content = written.strip_suffix('\n').unwrap();
        prop_assert!(!content.chars().any(text::is_harmful));

        let parsed: Value = serde_json::from_str(content).unwrap();
        let cut = |text: &str, bytes: usize| text[..text.floor_char_boundary(bytes)].to_owned();
        let expected = [
            ("/actor/session/uid", cut(&texts[0], 1024)),
            ("/metadata/correlation_uid", cut(&texts[0], 1024)),
            ("/actor/user/name", cut(&texts[1], 64)),
            ("/tls/cipher", cut(&texts[2], 1024)),
            ("/unmapped/kx", cut(&texts[3], 1024)),
            ("/tls/sni", cut(&texts[4], 1024)),
            ("/tls/alpn/0", cut(&texts[5], 1024)),
            ("/file/path", cut(&format!("/{}", texts[6]), 1024)),
            ("/unmapped/data_exception", cut(&texts[7], 1024)),
            ("/unmapped/client", cut(&texts[8], 1024)),
        ];
        for (pointer, text) in expected {
            prop_assert_eq!(parsed.pointer(pointer).and_then(Value::as_str), Some(text.as_str()), "{}", pointer);
        }
        prop_assert_eq!(parsed["unmapped"].get("late").is_some(), late);
    }
}
