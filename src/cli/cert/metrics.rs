//! What `cert check` found, as metrics.

use jiff::Timestamp;

use crate::cli::doctor::report::Severity;
use crate::metrics::text::Metrics;

/// One certificate, or what goes with certificates.
pub(super) struct Sample<'a> {
    /// What it is: `server`, or the key of server.toml that names it.
    pub(super) kind: &'a str,
    /// The first name of the identity; empty for what has none.
    pub(super) name: String,
    pub(super) file: String,
    pub(super) ends: Option<Timestamp>,
}

/// The metrics.
pub(super) fn text(samples: &[Sample<'_>], worst: Severity, now: Timestamp) -> String {
    let mut metrics = Metrics::default();
    let mut dated = |name: &str, help: &str, value: &dyn Fn(Timestamp) -> i64| {
        let samples = samples.iter().filter_map(|sample| {
            let labels = vec![("kind", sample.kind), ("name", sample.name.as_str()), ("file", sample.file.as_str())];
            Some((labels, value(sample.ends?)))
        });
        metrics.gauge(name, help, samples);
    };
    dated(
        "portcullis_certificate_not_after_timestamp_seconds",
        "When the certificate, the list of revoked certificates or the OCSP response ends.",
        &|ends| ends.as_second(),
    );
    dated("portcullis_certificate_days_left", "Whole days until then; negative where it is past.", &|ends| {
        crate::tls::facts::days_left(ends, now)
    });
    let plain = [
        ("portcullis_certificate_check_severity", "The worst finding: 0 ok, 1 note, 2 warning, 3 error.", worst as i64),
        ("portcullis_certificate_check_timestamp_seconds", "When the certificates were checked.", now.as_second()),
    ];
    for (name, help, value) in plain {
        metrics.plain(name, help, value);
    }
    metrics.text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sample_has_its_labels_and_no_name_breaks_a_line() {
        let now = Timestamp::from_second(0).unwrap();
        let ends = Some(Timestamp::from_second(86_400 * 3).unwrap());
        let sample = || Sample { kind: "server", name: "a\"b\n".into(), file: "c\\d".into(), ends };
        let text = text(
            &[sample(), sample(), Sample { kind: "ocsp", name: String::new(), file: "x".into(), ends: None }],
            Severity::Note,
            now,
        );
        let labels = "{kind=\"server\",name=\"a\\\"b\\n\",file=\"c\\\\d\"}";
        let line = format!("\nportcullis_certificate_days_left{labels} 3\n");
        assert_eq!(text.matches(&line).count(), 1, "{text}");
        assert!(text.contains(&format!("\nportcullis_certificate_not_after_timestamp_seconds{labels} 259200\n")));
        assert!(text.ends_with("portcullis_certificate_check_timestamp_seconds 0"));
        assert!(text.contains("\nportcullis_certificate_check_severity 1\n") && !text.contains("ocsp\""));
    }
}
