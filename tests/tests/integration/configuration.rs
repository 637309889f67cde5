//! Configurations as files: each in `conf/` loads, and bad ones name every problem with its place.

use pullgate_tests::pki::Authority;
use pullgate_tests::stage::{Props, Recipe, refusal, start};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Puts throw-away certificates and secrets into a folder, under the names that configurations of ours use.
fn furnish(folder: &Path) {
    let (certs, secrets) = (folder.join("certs"), folder.join("secrets"));
    std::fs::create_dir_all(&certs).unwrap();
    std::fs::create_dir_all(&secrets).unwrap();
    let authority = Authority::new("server CA");
    let shop = authority.leaf().dns(&["shop.example.com", "*.shop.example.com"]).usage_server().issue();
    shop.write(&certs, "shop");
    authority.leaf().dns(&["blog.example.com"]).usage_server().issue().write(&certs, "blog");
    for ca in ["origin-pull-ca", "client-ca"] {
        Authority::new(ca).write(&certs, ca);
    }
    for name in ["edge-a", "edge-b"] {
        std::fs::write(secrets.join(name), format!("{name}-0123456789abcdef\n")).unwrap();
    }
}

/// Copies `conf/` beside throw-away certificates of the names that it uses.
fn with_certificates() -> (tempfile::TempDir, Vec<PathBuf>) {
    let folder = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for part in ["", "examples", "kubernetes/config", "systemd"] {
        let target = folder.path().join(part);
        furnish(&target);
        for entry in std::fs::read_dir(root().join("conf").join(part)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "yaml") {
                let copy = target.join(path.file_name().unwrap());
                std::fs::copy(&path, &copy).unwrap();
                files.push(copy);
            }
        }
    }
    (folder, files)
}

#[test]
fn every_file_in_conf_loads_without_a_warning() {
    let (_folder, files) = with_certificates();
    assert!(files.len() >= 10, "{files:?}");
    for file in files {
        let loaded = pullgate::load(&file).unwrap_or_else(|error| panic!("{error}"));
        assert!(loaded.warnings.list().is_empty(), "{}", loaded.warnings);
    }
}

/// The script of the demo puts addresses of its networks into the variables, and the engine resolves the origin's name.
#[test]
fn the_configuration_of_the_compose_demo_loads_without_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    furnish(folder.path());
    let text = std::fs::read_to_string(root().join("docker/demo/pullgate/pullgate.yaml")).unwrap();
    let file = folder.path().join("pullgate.yaml");
    let text = text.replace("${SCRAPE_ADDRESS}", "127.0.0.1").replace("${PULL_SUBNET}", "127.0.1.0/24");
    let text = text.replace("origin:8080", "127.0.0.1:9000");
    std::fs::write(&file, text).unwrap();
    let loaded = pullgate::load(&file).unwrap_or_else(|error| panic!("{error}"));
    assert!(loaded.warnings.list().is_empty(), "{}", loaded.warnings);
}

/// The pages of `docs/policies/`, by the name of the file without its extension.
fn policy_pages() -> BTreeMap<String, String> {
    let files = std::fs::read_dir(root().join("docs/policies")).unwrap().map(|entry| entry.unwrap().path());
    let pages = files.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let page = |path: PathBuf| {
        (path.file_stem().unwrap().to_str().unwrap().to_owned(), std::fs::read_to_string(&path).unwrap())
    };
    pages.map(page).collect()
}

/// The fenced blocks of a page that begin with this line.
fn blocks<'a>(page: &'a str, fence: &str) -> Vec<&'a str> {
    let opening = format!("\n{fence}\n");
    page.split(&opening).skip(1).map(|rest| rest.split_once("\n```").expect("a block that ends").0).collect()
}

/// A configuration whose one host has these policies, and what a page shows of the host's other keys.
fn with_policies(host: &str, policies: &str) -> String {
    let indented = |text: &str| text.lines().map(|line| format!("    {line}\n")).collect::<String>();
    let hosts = "hosts:
  - name: shop
    hostnames: [shop.example.com]
    certificate: {chain: certs/shop.pem, key: certs/shop.key}
    origin_pull: {mode: require, trust: [certs/origin-pull-ca.pem]}
    routes: [{name: all, upstream: shop}]
";
    let (listeners, upstreams) = (Recipe::default().listeners, "upstreams:\n  shop: {servers: ['127.0.0.1:9000']}\n");
    format!("version: 1\n{listeners}{hosts}{}{}{upstreams}", indented(host), indented(policies))
}

#[test]
fn every_example_of_a_policy_loads_without_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    furnish(folder.path());
    let file = folder.path().join("pullgate.yaml");
    for (name, page) in policy_pages() {
        let host = blocks(&page, "```yaml visitor").concat();
        let examples = blocks(&page, "```yaml");
        assert!(!examples.is_empty(), "docs/policies/{name}.md has no example");
        for example in examples {
            assert!(example.starts_with("policies:\n"), "docs/policies/{name}.md: {example}");
            std::fs::write(&file, with_policies(&host, example)).unwrap();
            let loaded = pullgate::load(&file).unwrap_or_else(|error| panic!("docs/policies/{name}.md: {error}"));
            assert!(loaded.warnings.list().is_empty(), "docs/policies/{name}.md: {}", loaded.warnings);
            let policies = &loaded.config.hosts[0].rule.policies;
            let kind = format!("kind: {name}");
            assert!(!policies.is_empty() && (name == "README" || example.contains(&kind)), "{name}: {example}");
        }
    }
}

#[test]
fn all_problems_come_at_once_with_their_places() {
    let props = Props::new();
    let recipe = Recipe {
        head: "version: 1\nruntime: {wokers: 2}\nlog: {level: loud}\n".into(),
        listeners: "listeners:\n  - {name: https, address: nowhere, kernel_filter: always}\n".into(),
        hosts: "hosts:
  - name: shop
    hostnames: [shop.example.com, shop.example.com]
    certificate: {chain: missing.pem, key: server.key}
    origin_pull: {mode: require, trust: [server.key]}
    routes: [{name: all, upstream: shpo}]
  - name: blog
    hostnames: []
    origin_pull: {}
    routes: []
"
        .into(),
        upstreams: "upstreams:\n  shop: {servers: []}\n".into(),
    };
    let problems = refusal(&props, &recipe);
    for expected in [
        "pullgate.yaml:2:11: error: runtime.wokers:",
        "did you mean `workers`",
        "pullgate.yaml:3:14: error: log.level:",
        "pullgate.yaml:5:28: error: listeners[0].address:",
        "listeners[0].kernel_filter: expected",
        "pullgate.yaml:8:35: error: hosts[0].hostnames[1]:",
        "hosts[0].certificate.chain:",
        "missing.pem",
        "hosts[0].origin_pull.trust[0]:",
        "hosts[0].routes[0].upstream:",
        "did you mean `shop`",
        "hosts[1].hostnames:",
        "hosts[1].origin_pull.mode:",
        "hosts[1].routes:",
        "hosts[1].certificate: missing",
        "upstreams.shop.servers:",
    ] {
        assert!(problems.contains(expected), "{expected} is not in:\n{problems}");
    }
}

#[test]
fn a_key_of_another_certificate_is_found() {
    let props = Props::new();
    Authority::new("other").leaf().issue().write(props.path(), "stray");
    let hosts = Recipe::default().hosts.replacen("key: server.key", "key: stray.key", 1);
    let problems = refusal(&props, &Recipe { hosts, ..Recipe::default() });
    assert!(problems.contains("hosts[0].certificate.key:"), "{problems}");
    assert!(problems.ends_with("1 problem"), "{problems}");
}

#[test]
fn two_hosts_cannot_claim_one_name() {
    let hosts = Recipe::default().hosts.replacen("[twin.example.com]", "[TWIN.example.com, shop.example.com]", 1);
    let problems = refusal(&Props::new(), &Recipe { hosts, ..Recipe::default() });
    assert!(problems.contains("hosts[1].hostnames[1]:") && problems.contains("shop"), "{problems}");
}

#[tokio::test]
async fn an_address_in_use_fails_the_start_and_names_the_listener() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listeners =
        format!("listeners:\n  - {{name: busy, address: '{}', protocol: http}}\n", taken.local_addr().unwrap());
    let props = Props::new();
    let recipe = Recipe { listeners, hosts: crate::admission::open_host(), ..Recipe::default() };
    let error = start(&props.write(&recipe, "127.0.0.1:9")).await.unwrap_err();
    assert!(error.contains("listener `busy` cannot listen on"), "{error}");
}

#[test]
fn the_environment_fills_values_and_stays_one_scalar() {
    let head = Recipe::default().head.replace("workers: 2", "workers: '${PULLGATE_TEST_UNSET_WORKERS:-3}'");
    let props = Props::new();
    let file = props.write(&Recipe { head, ..Recipe::default() }, "127.0.0.1:9");
    assert_eq!(pullgate::load(&file).unwrap().config.runtime.workers.map(usize::from), Some(3));
    let head = Recipe::default().head.replace("workers: 2", "workers: '${PULLGATE_TEST_UNSET_WORKERS}'");
    let problems = refusal(&props, &Recipe { head, ..Recipe::default() });
    assert!(problems.contains("PULLGATE_TEST_UNSET_WORKERS"), "{problems}");
}
