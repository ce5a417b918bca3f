//! The files that watch the server: alerts and a dashboard, which name only what it tells.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::clients::run;
use crate::metrics::{metrics, names, with_all_metrics};

fn packaged(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(packaged(path)).unwrap()
}

/// The names of metrics in a text; those of a histogram's parts are its own.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_lowercase() && c != '_');
    let words = words.filter(|word| word.starts_with("portcullis_"));
    words.map(|word| word.strip_suffix("_bucket").unwrap_or(word).to_owned()).collect()
}

/// Every text under a key, wherever it stands.
fn under<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a str>) {
    match value {
        Value::Array(list) => list.iter().for_each(|one| under(one, key, found)),
        Value::Object(map) => {
            found.extend(map.get(key).and_then(Value::as_str));
            map.values().for_each(|one| under(one, key, found));
        }
        _ => {}
    }
}

#[test]
fn alerts_and_dashboard_name_only_metrics_that_there_are() {
    let told = names(&metrics(&with_all_metrics()));
    for path in ["prometheus/portcullis.rules.yml", "prometheus/portcullis.rules.test.yml", "grafana/portcullis.json"] {
        let unknown: Vec<String> = named(&read(path)).difference(&told).cloned().collect();
        assert!(unknown.is_empty(), "{path}: {unknown:?}");
    }
}

#[test]
fn promtool_takes_the_alerts_and_they_do_what_their_tests_say() {
    let mut promtool = Command::new("promtool");
    run(promtool.args(["check", "rules"]).arg(packaged("prometheus/portcullis.rules.yml"))).done();
    let mut promtool = Command::new("promtool");
    run(promtool.args(["test", "rules"]).arg(packaged("prometheus/portcullis.rules.test.yml"))).done();
}

#[test]
fn every_alert_says_how_bad_it_is_and_what_to_do() {
    let rules = read("prometheus/portcullis.rules.yml");
    let alerts: Vec<&str> = rules.split("- alert: ").skip(1).collect();
    assert!(alerts.len() >= 20);
    for alert in alerts {
        for part in ["severity: ", "summary: ", "description: "] {
            assert!(alert.contains(part), "{part}: {alert}");
        }
    }
}

#[test]
fn the_dashboard_is_whole() {
    let dashboard: Value = serde_json::from_str(&read("grafana/portcullis.json")).unwrap();
    assert_eq!(dashboard["uid"], "portcullis");
    assert_eq!(dashboard["templating"]["list"][0]["type"], "datasource");
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len());
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        assert!(panel["description"].as_str().is_some_and(|text| text.ends_with('.')), "{panel}");
        assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{panel}");
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{panel}");
    }
    let mut queries = Vec::new();
    under(&dashboard, "expr", &mut queries);
    assert!(queries.len() > 40);
    // The same queries as rules, with what Grafana puts in, are understood by Prometheus.
    let rules = queries.iter().enumerate().map(|(number, query)| {
        let query = query.replace("$__rate_interval", "5m").replace("$instance", ".*");
        format!("      - record: query:number{number}\n        expr: {}\n", serde_json::to_string(&query).unwrap())
    });
    let file = tempfile::Builder::new().suffix(".yml").tempfile().unwrap();
    let text = format!("groups:\n  - name: dashboard\n    rules:\n{}", rules.collect::<String>());
    std::fs::write(file.path(), text).unwrap();
    run(Command::new("promtool").args(["check", "rules"]).arg(file.path())).done();
}
