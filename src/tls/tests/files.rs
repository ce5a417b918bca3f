//! Certificate and key files.

use super::*;

#[test]
fn what_is_wrong_with_the_files_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let load = |names: &[&str]| ServerTls::load(&settings(path, TlsVersion::Tls12, names)).map(drop).unwrap_err();
    let write = |name: &str, text: &str| std::fs::write(path.join(name), text).unwrap();
    let authority = authority("test root");
    let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let leaf = |params: &CertificateParams| params.signed_by(&key, &authority).unwrap().pem();

    assert!(matches!(load(&[]).problem, Problem::Unreadable(_)));
    write("server.pem", "hello");
    write("server.key", &key.serialize_pem());
    assert!(matches!(load(&[]).problem, Problem::NotPem(_)));
    write("server.pem", &"x".repeat(2 << 20));
    assert!(matches!(load(&[]).problem, Problem::TooLarge));
    write("server.pem", &(authority.pem() + &leaf(&params)));
    assert!(matches!(load(&[]).problem, Problem::ChainOrder(1)));
    write("server.pem", &leaf(&params));
    assert!(matches!(load(&["localhost", "other.test"]).problem, Problem::NameMissing(name) if name == "other.test"));
    write("server.key", &other.serialize_pem());
    let error = load(&["localhost"]);
    assert!(matches!(error.problem, Problem::KeyMismatch));
    assert!(error.file.ends_with("server.key"));
    write("server.key", &leaf(&params));
    assert!(matches!(load(&[]).problem, Problem::NotPem(_)));
    write("server.key", &key.serialize_pem());

    let mut expired = params.clone();
    expired.not_after = rcgen::date_time_ymd(2020, 1, 1);
    write("server.pem", &leaf(&expired));
    let error = load(&[]);
    assert!(matches!(error.problem, Problem::Expired(_)));
    assert!(error.to_string().contains("server.pem: expired at 2020-01-01T00:00:00Z: renew"), "{error}");
    let mut early = params.clone();
    early.not_before = rcgen::date_time_ymd(3000, 1, 1);
    write("server.pem", &leaf(&early));
    assert!(matches!(load(&[]).problem, Problem::NotYetValid(_)));

    let mut endless = params;
    endless.not_after = rcgen::date_time_ymd(9999, 12, 31);
    write("server.pem", &leaf(&endless));
    assert!(ServerTls::load(&settings(path, TlsVersion::Tls13, &["localhost"])).is_ok());
}
