//! Metrics as text that Prometheus reads (exposition format 0.0.4), for the textfile collector of its
//! node exporter.

use std::collections::BTreeSet;
use std::fmt::{Display, Write as _};

/// The names and values of a sample's labels.
pub(super) type Labels<'a> = Vec<(&'static str, &'a str)>;

/// The metrics written so far.
#[derive(Debug, Default)]
pub(super) struct Metrics(String);

impl Metrics {
    /// Adds a metric with its samples. Of samples with the same labels the first counts, as with two
    /// of them the whole text would be refused; without any there is no metric.
    pub(super) fn gauge<'a, V: Display>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'a>, V)>,
    ) {
        let mut known = BTreeSet::new();
        for (labels, value) in samples {
            let labels: Vec<String> = labels.iter().map(|(key, text)| format!("{key}=\"{}\"", escaped(text))).collect();
            let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            if known.is_empty() {
                let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} gauge");
            }
            if !known.contains(&labels) {
                let _ = writeln!(self.0, "{name}{labels} {value}");
                known.insert(labels);
            }
        }
    }

    /// Adds a metric with one sample, which has no labels.
    pub(super) fn plain(&mut self, name: &str, help: &str, value: impl Display) {
        self.gauge(name, help, [(Labels::new(), value)]);
    }

    /// The text, without its last line end.
    pub(super) fn text(&self) -> String {
        self.0.trim_end().to_owned()
    }
}

/// The value of a label.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_series_comes_twice_and_no_metric_without_samples() {
        let mut metrics = Metrics::default();
        metrics.gauge("a", "Help.", [(vec![("k", "x")], 1), (vec![("k", "y")], 2), (vec![("k", "x")], 3)]);
        metrics.gauge("b", "Help.", Vec::<(Labels<'_>, u8)>::new());
        metrics.plain("c", "Help.", 4);
        assert_eq!(
            metrics.text(),
            "# HELP a Help.\n# TYPE a gauge\na{k=\"x\"} 1\na{k=\"y\"} 2\n# HELP c Help.\n# TYPE c gauge\nc 4"
        );
    }
}
