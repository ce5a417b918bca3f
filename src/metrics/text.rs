//! Metrics as text that Prometheus reads (exposition format 0.0.4), from the server itself or from a
//! file of its node exporter's textfile collector.

use std::collections::BTreeSet;
use std::fmt::{Display, Write as _};

use super::{Counters, Seen};

/// The names and values of a sample's labels. Those without a value are left out.
pub type Labels<'a> = Vec<(&'static str, &'a str)>;

/// The metrics written so far.
#[derive(Debug, Default)]
pub struct Metrics(String);

impl Metrics {
    /// Adds a metric that goes up and down, with its samples. Of samples with the same labels the first
    /// counts, as with two of them the whole text would be refused; without any there is no metric.
    pub fn gauge<'a, V: Display>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'a>, V)>,
    ) {
        self.metric(name, help, "gauge", samples);
    }

    /// Adds one that only goes up; its name ends in `_total`. It is named also before its first sample.
    pub fn counter<'a, V: Display>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'a>, V)>,
    ) {
        if !self.metric(name, help, "counter", samples) {
            self.head(name, help, "counter");
        }
    }

    /// Adds a gauge with one sample, which has no labels.
    pub fn plain(&mut self, name: &str, help: &str, value: impl Display) {
        self.gauge(name, help, [(Labels::new(), value)]);
    }

    /// Adds a counter with one sample, which has no labels.
    pub fn total(&mut self, name: &str, help: &str, value: impl Display) {
        self.counter(name, help, [(Labels::new(), value)]);
    }

    /// Adds counters with their words as labels of these names.
    pub fn counters<const LABELS: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: [&'static str; LABELS],
        counters: &Counters<LABELS>,
    ) {
        let all = counters.all();
        self.counter(name, help, all.iter().map(|(words, count)| (labels.into_iter().zip(*words).collect(), count)));
    }

    /// Adds histograms of durations, in seconds.
    pub fn histogram<'a>(&mut self, name: &str, help: &str, series: impl IntoIterator<Item = (Labels<'a>, Seen)>) {
        self.head(name, help, "histogram");
        for (labels, seen) in series {
            for (bound, count) in seen.buckets {
                let bound = bound.as_secs_f64().to_string();
                let labels = written(labels.iter().copied().chain([("le", bound.as_str())]));
                let _ = writeln!(self.0, "{name}_bucket{labels} {count}");
            }
            let all = written(labels.iter().copied().chain([("le", "+Inf")]));
            let labels = written(labels);
            let (sum, count) = (seen.sum.as_secs_f64(), seen.count);
            let _ =
                writeln!(self.0, "{name}_bucket{all} {count}\n{name}_sum{labels} {sum}\n{name}_count{labels} {count}");
        }
    }

    /// The text, without its last line end.
    pub fn text(&self) -> String {
        self.0.trim_end().to_owned()
    }

    /// False where there are no samples.
    fn metric<'a, V: Display>(
        &mut self,
        name: &str,
        help: &str,
        kind: &str,
        samples: impl IntoIterator<Item = (Labels<'a>, V)>,
    ) -> bool {
        let mut known = BTreeSet::new();
        for (labels, value) in samples {
            if known.is_empty() {
                self.head(name, help, kind);
            }
            let labels = written(labels);
            if !known.contains(&labels) {
                let _ = writeln!(self.0, "{name}{labels} {value}");
                known.insert(labels);
            }
        }
        !known.is_empty()
    }

    fn head(&mut self, name: &str, help: &str, kind: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }
}

/// The labels of a sample as they are written behind its name.
fn written<'a>(labels: impl IntoIterator<Item = (&'static str, &'a str)>) -> String {
    let labels = labels.into_iter().filter(|(_, text)| !text.is_empty());
    let labels: Vec<String> = labels.map(|(key, text)| format!("{key}=\"{}\"", escaped(text))).collect();
    if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) }
}

/// The value of a label.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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

    #[test]
    fn a_histogram_sums_up_and_a_label_without_a_value_is_left_out() {
        let mut metrics = Metrics::default();
        let seen = Seen { buckets: vec![(Duration::from_millis(5), 1)], sum: Duration::from_millis(1500), count: 2 };
        metrics.histogram("h_seconds", "Help.", [(vec![("d", "up"), ("e", "")], seen)]);
        assert_eq!(
            metrics.text(),
            "# HELP h_seconds Help.\n# TYPE h_seconds histogram\nh_seconds_bucket{d=\"up\",le=\"0.005\"} 1\n\
             h_seconds_bucket{d=\"up\",le=\"+Inf\"} 2\nh_seconds_sum{d=\"up\"} 1.5\nh_seconds_count{d=\"up\"} 2"
        );
    }
}
