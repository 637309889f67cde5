//! What watches a gateway: the table of metrics, the rules and runbooks, the dashboard. None of them may name what does not exist.

use crate::binary::{pullgate, text};
use pullgate_metrics::{Family, Kind, Metrics, Values};
use pullgate_policy::Reason;
use pullgate_tests::stage::{Stage, visit};
use pullgate_tests::yaml;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

fn path(of: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(of)
}

fn read(of: &str) -> String {
    std::fs::read_to_string(path(of)).unwrap_or_else(|error| panic!("{of}: {error}"))
}

fn promtool(arguments: &[&str], file: &Path) {
    let output = Command::new("promtool").args(arguments).arg(file).output();
    let output = output.expect("promtool is there: `make setup` installs it");
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}

fn dashboard() -> Value {
    serde_json::from_str(&read("conf/grafana/pullgate.json")).unwrap()
}

/// Every rule of the rules' file.
fn rules() -> Vec<Value> {
    let groups = yaml::read(&read("conf/prometheus/pullgate.rules.yaml"));
    let lists = groups["groups"].as_array().unwrap().iter().map(|group| group["rules"].as_array().unwrap());
    lists.flatten().cloned().collect()
}

fn alerts() -> BTreeSet<String> {
    rules().iter().filter_map(|rule| Some(rule.get("alert")?.as_str()?.to_owned())).collect()
}

fn runbooks() -> Vec<(String, String)> {
    let pages = std::fs::read_dir(path("docs/runbooks")).unwrap().map(|entry| entry.unwrap().path());
    pages
        .map(|page| (page.file_stem().unwrap().to_str().unwrap().to_owned(), std::fs::read_to_string(&page).unwrap()))
        .collect()
}

/// Each expression of a JSON value, with where it stands.
fn expressions(value: &Value, at: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(text) if key == "expr" || key == "definition" => {
                        found.push((at.into(), text.clone()));
                    }
                    _ => expressions(value, &format!("{at}.{key}"), found),
                }
            }
        }
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(i, value)| expressions(value, &format!("{at}[{i}]"), found));
        }
        _ => {}
    }
}

/// A name in an expression with its matchers, such as `outcome`, `=~`, `a|b`.
type Named<'a> = (&'a str, Vec<(&'a str, &'a str)>);

/// What an expression, or a text about one, names of ours: metrics with their matchers (label, value).
fn named(text: &str) -> Vec<Named<'_>> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == ':';
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(is_part) {
        let word = &rest[start..];
        let (name, after) = word.split_at(word.find(|letter| !is_part(letter)).unwrap_or(word.len()));
        rest = after;
        if ["pullgate_", "process_"].iter().any(|prefix| name.starts_with(prefix)) {
            let inside = after.strip_prefix('{').and_then(|inside| inside.split_once('}'));
            found.push((name, inside.map_or(Vec::new(), |(inside, _)| matchers(inside))));
        }
    }
    found
}

fn matchers(inside: &str) -> Vec<(&str, &str)> {
    let each = inside.split(',').map(str::trim).filter_map(|each| Some(each.split_at(each.find(['=', '!'])?)));
    each.map(|(label, value)| (label, value.trim_matches(['=', '!', '~', '"', '\\']))).collect()
}

fn family<'a>(families: &'a [Family], name: &str) -> Option<&'a Family> {
    families.iter().find(|family| match name.strip_prefix(family.name.as_str()) {
        Some("") => true,
        Some("_bucket" | "_sum" | "_count") => matches!(family.kind, Kind::Histogram(_)),
        _ => false,
    })
}

/// Labels that Prometheus adds.
const OUTSIDE: [&str; 3] = ["job", "instance", "le"];

/// What is wrong with the names, labels and values of an expression.
fn faults(families: &[Family], text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, matchers) in named(text) {
        let Some(family) = family(families, name) else {
            faults.push(format!("no metric is named {name}"));
            continue;
        };
        for (label, value) in matchers.into_iter().filter(|(label, _)| !OUTSIDE.contains(label)) {
            let known = family.labels.iter().find(|known| known.name == label);
            match known.map(|known| known.values) {
                None => faults.push(format!("{name} has no label {label}")),
                Some(Values::OneOf(words)) if !value.contains('$') => {
                    let words = words();
                    let strange = value.split('|').filter(|word| !words.contains(word));
                    faults.extend(strange.map(|word| format!("{label} of {name} is never {word}")));
                }
                Some(_) => {}
            }
        }
    }
    faults
}

fn families() -> Vec<Family> {
    Metrics::new().unwrap().families().to_vec()
}

#[test]
fn names_that_do_not_exist_are_found() {
    let families = families();
    let fault = |text: &str| faults(&families, text).join("; ");
    assert_eq!(fault(r#"rate(pullgate_requests_total{host=~"$host",code="200"}[5m]) / process_open_fds"#), "");
    assert_eq!(fault("sum by (le) (pullgate_request_duration_seconds_bucket)"), "");
    assert_eq!(fault("pullgate_request_total"), "no metric is named pullgate_request_total");
    assert_eq!(fault("pullgate_requests_total_count"), "no metric is named pullgate_requests_total_count");
    assert_eq!(fault(r#"pullgate_panics_total{host="a"}"#), "pullgate_panics_total has no label host");
    let strange = r#"pullgate_connections_total{job="a", outcome!~"stranger|strange"}"#;
    assert_eq!(fault(strange), "outcome of pullgate_connections_total is never strange");
}

#[test]
fn promtool_is_content_with_the_rules_and_their_tests() {
    promtool(&["check", "rules"], &path("conf/prometheus/pullgate.rules.yaml"));
    promtool(&["test", "rules"], &path("conf/prometheus/pullgate.rules.test.yaml"));
}

#[test]
fn rules_name_what_exists() {
    let families = families();
    for rule in rules() {
        assert_eq!(faults(&families, rule["expr"].as_str().unwrap()), [""; 0], "{rule:#}");
    }
}

/// Firing alone, or silent alone, is half a test.
#[test]
fn each_alert_is_complete_and_tested() {
    let tests = read("conf/prometheus/pullgate.rules.test.yaml");
    for rule in rules() {
        let Some(name) = rule.get("alert").and_then(Value::as_str) else { continue };
        let severity = rule["labels"]["severity"].as_str().unwrap();
        assert!(["info", "warning", "critical"].contains(&severity), "{name}: {severity}");
        let told = &rule["annotations"];
        assert!(!told["summary"].as_str().unwrap().is_empty() && !told["description"].as_str().unwrap().is_empty());
        assert_eq!(told["runbook_url"], format!("docs/runbooks/{name}.md"));
        let fires = format!(r#"alertname="{name}",alertstate="firing",severity="{severity}""#);
        assert!(tests.contains(&fires), "no test of {name} at {severity}");
    }
    for record in rules().iter().filter_map(|rule| rule.get("record")?.as_str().map(str::to_owned)) {
        assert!(tests.contains(&format!("expr: {record}\n")), "no test of {record}");
    }
}

#[test]
fn each_alert_has_a_runbook_and_each_runbook_an_alert() {
    let pages: BTreeSet<_> = runbooks().into_iter().map(|(name, _)| name).collect();
    assert_eq!(pages, alerts());
    for (name, page) in runbooks() {
        let parts: Vec<_> = page.lines().filter(|line| line.starts_with('#')).collect();
        let expected =
            [&*format!("# {name}"), "## What it means", "## How to see", "## What to do", "## How to prevent it"];
        assert_eq!(parts, expected, "docs/runbooks/{name}.md");
    }
}

#[test]
fn runbooks_name_metrics_and_commands_that_exist() {
    let (families, mut commands) = (families(), BTreeSet::new());
    for (name, page) in runbooks() {
        assert_eq!(faults(&families, &page), [""; 0], "docs/runbooks/{name}.md");
        let code = page.split('`').skip(1).step_by(2).flat_map(|code| code.split("pullgate ").skip(1));
        let words = code.map(|line| line.lines().next().unwrap().split(' ').take_while(|word| is_plain(word)));
        commands.extend(words.map(|words| words.take(2).map(str::to_owned).collect::<Vec<_>>()));
    }
    assert!(commands.len() >= 5, "{commands:?}");
    for command in commands.iter().filter(|command| !command.is_empty()) {
        let arguments: Vec<_> = command.iter().map(String::as_str).chain(["--help"]).collect();
        let output = pullgate(&arguments);
        assert!(output.status.success(), "{command:?}: {}", text(&output.stderr));
    }
}

fn is_plain(word: &str) -> bool {
    !word.is_empty()
        && word.chars().all(|letter| letter.is_ascii_lowercase() || letter == '-')
        && !word.starts_with('-')
}

#[test]
fn the_dashboard_names_what_exists() {
    let (families, mut found) = (families(), Vec::new());
    expressions(&dashboard(), "", &mut found);
    assert!(found.len() > 40, "{found:?}");
    for (at, expression) in &found {
        assert_eq!(faults(&families, expression), [""; 0], "{at}: {expression}");
    }
    // What a gateway shows and nobody looks at is not worth its series.
    let shown: BTreeSet<_> = found
        .iter()
        .flat_map(|(_, text)| named(text))
        .filter_map(|(name, _)| family(&families, name))
        .map(|family| &*family.name)
        .collect();
    let hidden = ["pullgate_config_info", "process_virtual_memory_bytes", "process_threads"];
    for family in families.iter().filter(|family| !hidden.contains(&&*family.name)) {
        assert!(shown.contains(&*family.name), "no panel shows {}", family.name);
    }
}

/// Each as a recording rule: promtool knows the language.
#[test]
fn the_dashboard_s_expressions_are_promql() {
    let mut found = Vec::new();
    expressions(&dashboard(), "", &mut found);
    let rules = found.iter().filter(|(_, text)| !text.starts_with("label_values")).enumerate().map(|(i, (_, text))| {
        serde_json::json!({"record": format!("panel:expression:{i}"), "expr": text.replace("$__rate_interval", "5m")})
    });
    let file = tempfile::NamedTempFile::new().unwrap();
    let groups = serde_json::json!({"groups": [{"name": "dashboard", "rules": rules.collect::<Vec<_>>()}]});
    std::fs::write(file.path(), groups.to_string()).unwrap();
    promtool(&["check", "rules"], file.path());
}

#[test]
fn the_dashboard_can_be_imported() {
    let dashboard = dashboard();
    assert_eq!(dashboard["uid"], "pullgate");
    assert!(dashboard["id"].is_null());
    assert_eq!(dashboard["__inputs"][0]["name"], "DS_PROMETHEUS");
    assert_eq!(dashboard["templating"]["list"][0]["current"]["value"], "${DS_PROMETHEUS}");
    let (mut ids, mut cells) = (BTreeSet::new(), BTreeSet::new());
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        let side = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        assert!(side("x") + side("w") <= 24, "{panel}");
        for (x, y) in (0..side("w")).flat_map(|x| (0..side("h")).map(move |y| (x, y))) {
            assert!(cells.insert((side("x") + x, side("y") + y)), "panels overlap: {panel}");
        }
        if panel["type"] != "row" {
            assert!(!panel["description"].as_str().unwrap().is_empty(), "{panel}");
            let targets = panel["targets"].as_array().unwrap();
            assert!(!targets.is_empty() && targets.iter().all(|target| target["datasource"]["uid"] == "${datasource}"));
        }
    }
}

/// The unit, by the suffixes that Prometheus recommends.
fn unit(name: &str) -> &'static str {
    let ends = |suffixes: &[&str]| suffixes.iter().any(|suffix| name.ends_with(suffix));
    match name {
        _ if ends(&["_timestamp_seconds", "_start_time_seconds"]) => "seconds since 1970",
        _ if ends(&["_seconds", "_seconds_total"]) => "seconds",
        _ if ends(&["_bytes"]) => "bytes",
        _ if ends(&["_active", "_source", "_successful"]) => "0 or 1",
        _ if ends(&["_info"]) => "1",
        _ => "count",
    }
}

fn words(values: Values) -> String {
    match values {
        Values::Named(what) => what.to_owned(),
        // The reasons have a table of their own.
        Values::OneOf(words) if words().len() > 20 => "empty for a permit, else [a reason](#reasons)".to_owned(),
        Values::OneOf(words) => words().iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
    }
}

fn table() -> String {
    let mut families = families();
    families.sort_by(|a, b| a.name.cmp(&b.name));
    let bounds = families.iter().find_map(|family| match family.kind {
        Kind::Histogram(bounds) => Some(bounds.iter().map(f64::to_string).collect::<Vec<_>>().join(", ")),
        _ => None,
    });
    let mut table = "| metric | type, unit | meaning | labels |\n|---|---|---|---|\n".to_owned();
    for Family { name, kind, help, labels } in families {
        let labels: Vec<_> = labels.iter().map(|label| format!("`{}`: {}", label.name, words(label.values))).collect();
        let (kind, unit, help) = (kind.label(), unit(&name), help.replace('|', "\\|"));
        writeln!(table, "| `{name}` | {kind}, {unit} | {help} | {} |", labels.join("<br>")).unwrap();
    }
    writeln!(table, "\nThe bounds of the histograms, in seconds: {}.", bounds.unwrap()).unwrap();
    table
}

fn reasons() -> String {
    let mut table = "| reason | status |\n|---|---|\n".to_owned();
    for reason in Reason::ALL {
        writeln!(table, "| `{reason}` | {} |", reason.status().as_u16()).unwrap();
    }
    table
}

/// A text with what stands between `<!-- NAME -->` and `<!-- end -->` in place of what stood there.
fn renewed(page: &str, name: &str, content: &str) -> String {
    let (before, rest) = page.split_once(&format!("<!-- {name} -->\n")).expect("a page with its marks");
    let (_, after) = rest.split_once("<!-- end -->\n").expect("a page with its marks");
    format!("{before}<!-- {name} -->\n{content}<!-- end -->\n{after}")
}

#[test]
fn the_table_of_metrics_is_what_the_registry_says() {
    let page = read("docs/metrics.md");
    let expected = renewed(&renewed(&page, "metrics", &table()), "reasons", &reasons());
    if std::env::var_os("RENEW").is_some() {
        std::fs::write(path("docs/metrics.md"), &expected).unwrap();
    } else {
        assert!(
            page == expected,
            "docs/metrics.md is not what the registry says: \
             `RENEW=1 cargo test -p pullgate-tests --test integration the_table_of_metrics` writes it anew"
        );
    }
}

/// What is scraped is what is documented: names, types, labels, and the words of closed sets.
#[tokio::test]
async fn what_is_scraped_is_documented() {
    let stage = Stage::new().await;
    stage.h1("shop.example.com").await.send(visit("shop.example.com", "/")).await.unwrap();
    stage.plain().await.send(visit("shop.example.com", "/")).await.unwrap();
    let _ = stage.h1_as("unknown.example.com", stage.tls()).await;
    stage.access_lines(2).await;
    let (families, text) = (families(), stage.gateway.metrics().render().unwrap());
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    for (name, kind) in types {
        let family = family(&families, name).unwrap_or_else(|| panic!("{name} is not documented"));
        assert_eq!(family.kind.label(), kind, "{name}");
    }
    let samples: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(samples.len() > 60, "{text}");
    for sample in samples {
        assert_eq!(faults(&families, sample), [""; 0], "{sample}");
    }
}
