//! `portcullis cert inspect`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Map, Value, json};
use x509_parser::prelude::{FromDer, SubjectPublicKeyInfo, X509Certificate, X509CertificationRequest};

use super::super::doctor::report::harmless;
use super::super::{Failure, say};
use super::{chosen, config, converting, read, say_json};
use crate::tls::pem::{self, Block};
use crate::tls::{chain, facts};

/// Most names that are shown of one certificate.
const NAMES_SHOWN: usize = 100;
/// Most characters of one line.
const LINE_CHARACTERS_MAX: usize = 4000;

/// Show what certificates, keys and requests are.
///
/// Of a private key only its kind and the fingerprint of its public key are shown. Fingerprints are
/// SHA-256; that of the public key is the same for a key, its request and its certificate.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portcullis cert inspect fullchain.pem
  portcullis cert inspect server.key
  portcullis cert inspect --identity files.example.org --json")]
pub(super) struct Arguments {
    /// A PEM file with certificates, a private key, or a request.
    #[arg(value_name = "FILE", required_unless_present = "identity")]
    file: Option<PathBuf>,
    /// The files of an identity of the policy: a name of it, or its number from 1.
    #[arg(long, value_name = "NAME|N", conflicts_with = "file")]
    identity: Option<String>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What was found in a file.
struct Found {
    file: PathBuf,
    /// Each block: what it is, and its facts as JSON has them.
    blocks: Vec<(&'static str, Map<String, Value>)>,
    /// Whether each certificate is issued by the one behind it; the place of the first that is not.
    broken_at: Option<usize>,
}

/// Prints what is in the file, or in those of the identity.
pub(super) fn run(arguments: &Arguments, policy: &Path) -> Result<(), Failure> {
    let now = Timestamp::now();
    let files = if let Some(file) = &arguments.file {
        vec![file.clone()]
    } else {
        let config = config(policy)?;
        let identity = chosen(&config, arguments.identity.as_deref())?;
        vec![identity.certificate.clone(), identity.key.clone()]
    };
    let found: Vec<Found> = files.iter().map(|file| look(file, now)).collect::<Result<_, _>>()?;
    if arguments.json {
        return say_json(&json!({ "files": found.iter().map(as_json).collect::<Vec<_>>() }));
    }
    say(found.iter().map(text).collect::<Vec<_>>().join("\n\n"))
}

fn look(file: &Path, now: Timestamp) -> Result<Found, Failure> {
    let failed = |why: &dyn std::fmt::Display| Failure::Failed(format!("{}: {why}", file.display()));
    let content = read(file)?;
    let blocks = pem::blocks(&content.bytes).map_err(|error| failed(&error))?;
    let mut found = Found { file: file.to_owned(), blocks: Vec::new(), broken_at: None };
    let mut certificates = Vec::new();
    for (place, block) in (1_usize..).zip(&blocks) {
        let damaged = || failed(&format!("block {place} in it is damaged: get it again"));
        match block {
            Block::Certificate(der) => {
                let (_, parsed) = X509Certificate::from_der(der).map_err(|_| damaged())?;
                found.blocks.push(("certificate", of_certificate(&parsed, der, now)));
                certificates.push(parsed);
            }
            Block::Request(der) => {
                let (_, parsed) = X509CertificationRequest::from_der(der).map_err(|_| damaged())?;
                found.blocks.push(("request", of_request(&parsed)));
            }
            Block::PrivateKey(key) => found.blocks.push(("private key", of_private_key(key))),
            Block::Other(what) => found.blocks.push((what, Map::new())),
        }
    }
    if found.blocks.is_empty() {
        let known = converting(file, &content.bytes);
        let why = known.unwrap_or_else(|| "nothing in it is PEM, as in -----BEGIN CERTIFICATE-----".to_owned());
        return Err(failed(&why));
    }
    found.broken_at = chain::first_break(&certificates);
    Ok(found)
}

fn map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn of_certificate(parsed: &X509Certificate<'_>, der: &[u8], now: Timestamp) -> Map<String, Value> {
    let (begin, end) = facts::validity(parsed);
    let mut facts = map(json!({
        "subject": parsed.subject().to_string(),
        "issuer": parsed.issuer().to_string(),
        "names": facts::names(parsed),
        "serial": parsed.tbs_certificate.raw_serial_as_string(),
        "not_before": begin.to_string(),
        "not_after": end.to_string(),
        "days_left": facts::days_left(end, now),
        "signature": facts::algorithm_name(&parsed.signature_algorithm),
        "is_ca": parsed.is_ca(),
        "self_signed": chain::is_self_signed(parsed),
        "sha256": facts::fingerprint(der),
    }));
    add_key(parsed.public_key(), &mut facts);
    facts
}

fn of_request(parsed: &X509CertificationRequest<'_>) -> Map<String, Value> {
    let info = &parsed.certification_request_info;
    let mut facts = map(json!({
        "subject": info.subject.to_string(),
        "names": facts::names_asked(parsed),
        "signature": facts::algorithm_name(&parsed.signature_algorithm),
        "signature_good": parsed.verify_signature().is_ok(),
    }));
    add_key(&info.subject_pki, &mut facts);
    facts
}

/// Nothing but the kind and the public key leaves this function.
fn of_private_key(key: &PrivateKeyDer<'static>) -> Map<String, Value> {
    let public = match facts::public_key_of(key.clone_key()) {
        Ok(public) => public,
        Err(problem) => return map(json!({ "problem": problem.to_string() })),
    };
    let mut facts = Map::new();
    if let Ok((_, parsed)) = SubjectPublicKeyInfo::from_der(&public) {
        add_key(&parsed, &mut facts);
    }
    facts
}

fn add_key(key: &SubjectPublicKeyInfo<'_>, to: &mut Map<String, Value>) {
    let kind = facts::key_kind(key);
    to.insert("key".into(), kind.name.into());
    to.insert("key_bits".into(), kind.bits.into());
    to.insert("public_key_sha256".into(), facts::fingerprint(key.raw).into());
}

fn as_json(found: &Found) -> Value {
    let of = |kind: &str| {
        let facts = found.blocks.iter().filter(|(known, _)| *known == kind);
        facts.map(|(_, facts)| Value::Object(facts.clone())).collect::<Vec<_>>()
    };
    json!({
        "file": found.file.display().to_string(),
        "certificates": of("certificate"),
        "in_order": found.broken_at.is_none(),
        "private_keys": of("private key"),
        "requests": of("request"),
    })
}

/// Every fact on a line of its own.
fn text(found: &Found) -> String {
    let mut out = format!("{}\n", harmless(&found.file.display().to_string()));
    let mut certificates = 0_usize;
    for (kind, facts) in &found.blocks {
        if *kind == "certificate" {
            certificates = certificates.saturating_add(1);
            let _ = writeln!(out, "\ncertificate {certificates}");
        } else {
            let _ = writeln!(out, "\n{kind}");
        }
        for (label, words) in lines(facts) {
            let mut words = harmless(&words);
            if let Some((at, _)) = words.char_indices().nth(LINE_CHARACTERS_MAX) {
                words.truncate(at);
                words.push('…');
            }
            let _ = writeln!(out, "  {label:<15}  {words}");
        }
    }
    match (certificates, found.broken_at) {
        (0 | 1, _) => {}
        (count, None) => {
            let _ = write!(out, "\nchain: {count} certificates, in order");
        }
        (count, Some(place)) => {
            let _ = write!(
                out,
                "\nchain: {count} certificates, not in order: certificate {place} is not issued by the one behind it"
            );
        }
    }
    out.trim_end().to_owned()
}

fn lines(facts: &Map<String, Value>) -> Vec<(&'static str, String)> {
    let word = |key: &str| facts.get(key).and_then(Value::as_str).map(ToOwned::to_owned);
    let yes = |key: &str| facts.get(key).and_then(Value::as_bool).map(|yes| if yes { "yes" } else { "no" }.to_owned());
    let names = facts.get("names").and_then(Value::as_array).map(|names| {
        let shown: Vec<&str> = names.iter().take(NAMES_SHOWN).filter_map(Value::as_str).collect();
        match names.len().saturating_sub(NAMES_SHOWN) {
            0 if shown.is_empty() => "none".to_owned(),
            0 => shown.join(", "),
            more => format!("{} and {more} more", shown.join(", ")),
        }
    });
    let until = word("not_after").map(|until| match facts.get("days_left").and_then(Value::as_i64) {
        Some(days) if days < 0 => format!("{until} (expired)"),
        Some(days) => format!("{until} ({days} days left)"),
        None => until,
    });
    let key = word("key").map(|name| match facts.get("key_bits").and_then(Value::as_u64) {
        Some(bits) => format!("{name}, {bits} bits"),
        None => name,
    });
    let all = [
        ("subject", word("subject")),
        ("issuer", word("issuer")),
        ("names", names),
        ("serial", word("serial")),
        ("valid from", word("not_before")),
        ("valid until", until),
        ("CA", yes("is_ca")),
        ("self-signed", yes("self_signed")),
        ("key", key),
        ("signature", word("signature")),
        ("signature good", yes("signature_good")),
        ("SHA-256", word("sha256")),
        ("public key", word("public_key_sha256")),
        ("problem", word("problem")),
    ];
    all.into_iter().filter_map(|(label, words)| Some((label, words?))).collect()
}
