//! The house rules that a compiler does not know.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn files(folder: &Path, extension: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|given| given == extension) {
            let text = std::fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
    found
}

fn sources() -> Vec<(PathBuf, String)> {
    ["crates", "tests", "benches", "fuzz"].iter().flat_map(|folder| files(&root().join(folder), "rs")).collect()
}

/// Source without comments and tests: what is built into the product.
fn production(path: &Path, text: &str) -> String {
    if path.ends_with("tests.rs")
        || path.ends_with("testing.rs")
        || path.components().any(|part| part.as_os_str() == "tests")
    {
        return String::new();
    }
    let code = text.split("#[cfg(test)]").next().unwrap();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn dependencies(name: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(root().join("crates").join(name).join("Cargo.toml")).unwrap();
    let manifest: toml::Table = text.parse().unwrap();
    manifest["dependencies"].as_table().unwrap().keys().cloned().collect()
}

/// `pullgate ─▶ proxy ─▶ door ─▶ metrics ─▶ policy`, `pullgate ─▶ config ─▶ policy`, `pullgate ─▶ cloudflare ─▶ policy`.
#[test]
fn the_arrows_between_crates() {
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("policy", &[][..]),
        ("config", &["policy"]),
        ("cloudflare", &["policy"]),
        ("metrics", &["policy"]),
        ("door", &["metrics", "policy"]),
        ("proxy", &["door", "metrics", "policy"]),
        ("pullgate", &["proxy", "door", "metrics", "policy", "config", "cloudflare"]),
    ]);
    for entry in std::fs::read_dir(root().join("crates")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let allowed = allowed.get(name.as_str()).unwrap_or_else(|| panic!("crate {name} has no place in the house"));
        for dependency in dependencies(&name) {
            if let Some(inner) = dependency.strip_prefix("pullgate-") {
                assert!(allowed.contains(&inner), "{name} must not depend on {inner}");
            }
        }
    }
}

/// The column "may not name" of ARCHITECTURE.md.
#[test]
fn what_crates_may_not_name() {
    let table: [(&str, &[&str]); 6] = [
        (
            "policy",
            &["tokio", "pingora", "pingora-core", "pingora-proxy", "rustls", "serde_yaml", "saphyr-parser", "log"],
        ),
        ("config", &["tokio", "pingora", "pingora-core", "pingora-proxy", "rustls"]),
        ("metrics", &["pingora", "pingora-core", "pingora-proxy", "pullgate-config"]),
        ("door", &["pingora", "pingora-core", "pingora-proxy", "http", "hyper"]),
        ("cloudflare", &["pingora", "pingora-core", "pingora-proxy"]),
        ("pullgate", &["pingora", "pingora-core", "pingora-proxy"]),
    ];
    for (name, forbidden) in table {
        let dependencies = dependencies(name);
        for crate_name in forbidden {
            assert!(!dependencies.contains(*crate_name), "{name} must not name {crate_name}");
        }
    }
}

#[test]
fn policy_is_pure() {
    let impure = [
        "std::fs",
        "std::net::Tcp",
        "std::net::Udp",
        "std::env",
        "std::process",
        "Instant::now",
        "SystemTime",
        "UnixTime::now",
        "thread",
        "println!",
        "static mut",
    ];
    for (path, text) in files(&root().join("crates/policy/src"), "rs") {
        let code = production(&path, &text);
        for word in impure {
            assert!(!code.contains(word), "{} names {word}", path.display());
        }
    }
}

#[test]
fn every_source_file_says_what_it_is_for() {
    for (path, text) in sources() {
        assert!(text.starts_with("//! "), "{} has no //! line at its top", path.display());
    }
}

#[test]
fn no_production_function_is_longer_than_60_lines() {
    for (path, text) in sources() {
        let code = production(&path, &text);
        let lines: Vec<&str> = code.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let opening = line.trim_start();
            let named = [
                "fn ",
                "pub fn ",
                "pub(crate) fn ",
                "pub(super) fn ",
                "async fn ",
                "pub async fn ",
                "pub(crate) async fn ",
                "const fn ",
                "pub const fn ",
                "pub(crate) const fn ",
                "pub(super) const fn ",
                "pub(super) async fn ",
            ];
            if !named.iter().any(|start| opening.starts_with(start)) || line.trim_end().ends_with(';') {
                continue;
            }
            let indent = &line[..line.len() - opening.len()];
            let length = lines[at..].iter().position(|line| *line == format!("{indent}}}")).unwrap_or(0);
            assert!(length <= 60, "{}: {} has {length} lines", path.display(), opening.split('(').next().unwrap());
        }
    }
}

/// What stands behind the first test is not looked at by the others.
#[test]
fn tests_stand_last() {
    for (path, text) in sources() {
        let Some((_, rest)) = text.split_once("\n#[cfg(test)]").filter(|_| !production(&path, &text).is_empty()) else {
            continue;
        };
        // An item is a test's where an attribute right above it says so.
        let mut tested = true;
        for line in rest.lines().skip(1) {
            let opening = ["fn ", "pub ", "pub(crate) ", "impl", "struct ", "enum ", "const ", "static ", "trait "];
            if opening.iter().any(|start| line.starts_with(start)) && !line.ends_with(';') {
                assert!(tested, "{}: `{line}` stands behind tests", path.display());
            }
            tested = line == "#[cfg(test)]" || tested && (line.starts_with("#[") || line.starts_with("//"));
        }
    }
}

#[test]
fn no_vague_names() {
    for (path, text) in sources() {
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        for vague in ["util", "utils", "helper", "helpers", "common", "manager", "handler", "misc"] {
            assert_ne!(stem, vague, "{}", path.display());
        }
        let code = production(&path, &text);
        for word in ["pub fn get_", "pub(crate) fn get_", "Manager", "todo!(", "unimplemented!(", "dbg!("] {
            assert!(!code.contains(word), "{} has {word}", path.display());
        }
    }
}

#[test]
fn names_in_the_architecture_exist() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    for word in text.split(|letter: char| letter.is_whitespace() || "`()[],;:".contains(letter)) {
        let path = word.trim_end_matches('.');
        let is_path = ["crates/", "tests/", "benches/", "fuzz/", "conf/", "docs/", "docker/"]
            .iter()
            .any(|start| path.starts_with(start));
        if is_path && !path.contains('*') && !path.contains('{') {
            assert!(root().join(path).exists(), "ARCHITECTURE.md names {path}");
        }
    }
}

/// Names and versions of a lock file.
fn locked(path: &str) -> BTreeSet<(String, String)> {
    let text = std::fs::read_to_string(root().join(path)).unwrap();
    let lock: toml::Table = text.parse().unwrap();
    let packages = lock["package"].as_array().unwrap().iter().filter_map(toml::Value::as_table);
    let text_of = |package: &toml::Table, key: &str| package[key].as_str().unwrap().to_owned();
    packages.map(|package| (text_of(package, "name"), text_of(package, "version"))).collect()
}

/// What is fuzzed is what is shipped.
#[test]
fn the_fuzz_targets_are_built_with_the_locked_versions() {
    for (name, version) in locked("fuzz/Cargo.lock").difference(&locked("Cargo.lock")) {
        assert!(
            ["arbitrary", "libfuzzer-sys", "pullgate-fuzz"].contains(&name.as_str()),
            "fuzz/Cargo.lock has {name} {version}, Cargo.lock has not. `cp Cargo.lock fuzz/` and \
             `cargo metadata --manifest-path fuzz/Cargo.toml` keep what fits and add what the targets need"
        );
    }
}

/// Pullgate is measured beside the Pingora, TLS and runtime that it is built with. Pingora's listener needs packages that Pullgate does
/// without, some of them in generations of their own.
#[test]
fn bare_pingora_is_built_with_the_locked_versions() {
    let generation = |version: &str| {
        let compatible = version.split_inclusive('.').position(|part| part != "0.").unwrap_or(0);
        version.split('.').take(compatible + 1).collect::<Vec<_>>().join(".")
    };
    let shipped = locked("Cargo.lock");
    for (name, version) in locked("benches/pingora/Cargo.lock").difference(&shipped) {
        let same = |(other, its): &&(String, String)| other == name && generation(its) == generation(version);
        assert_eq!(
            shipped.iter().find(same),
            None,
            "benches/pingora/Cargo.lock has {name} {version}. `cp Cargo.lock benches/pingora/` and \
             `cargo metadata --manifest-path benches/pingora/Cargo.toml` keep what fits and add what it needs"
        );
    }
}

/// Each kind of policy has a page, which the overview names, and on it every reason that the kind refuses with, with its status.
#[test]
fn every_policy_kind_has_a_page_with_its_reasons() {
    let read =
        |path: &str| std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    let overview = read("docs/policies/README.md");
    let code = files(&root().join("crates/policy/src/policies"), "rs");
    for kind in pullgate_policy::policies::KINDS {
        let (page, stem) = (read(&format!("docs/policies/{kind}.md")), kind.replace('-', "_"));
        assert!(overview.contains(&format!("({kind}.md)")), "docs/policies/README.md leads to no page of {kind}");
        // The kind's own file, and what it has been divided into.
        let own = code.iter().filter(|(path, _)| {
            path.file_stem().is_some_and(|name| *name == *stem)
                || path.parent().is_some_and(|folder| folder.ends_with(&stem))
        });
        let text: String = own.map(|(path, text)| production(path, text)).collect();
        let named = |reason: &pullgate_policy::Reason| {
            text.split(&format!("Reason::{reason:?}")).skip(1).any(|rest| !rest.starts_with(char::is_alphanumeric))
        };
        let reasons: Vec<_> = pullgate_policy::Reason::ALL.iter().filter(|reason| named(reason)).collect();
        assert!(!reasons.is_empty(), "{kind} refuses nothing");
        for reason in reasons {
            let row = page.lines().find(|line| line.starts_with(&format!("| `{reason}` |")));
            let status = format!("| {} |", reason.status().as_u16());
            assert!(
                row.is_some_and(|row| row.contains(&status)),
                "docs/policies/{kind}.md has no row `{reason}` {status}"
            );
        }
    }
}

/// Every policy kind has a place in the configuration's example.
#[test]
fn every_policy_kind_has_an_example() {
    let examples: String = files(&root().join("conf"), "yaml").into_iter().map(|(_, text)| text).collect();
    for kind in pullgate_policy::policies::KINDS {
        assert!(examples.contains(&format!("kind: {kind}")), "no file in conf/ shows {kind}");
    }
}

/// What people copy has to be the image that `make image` makes.
#[test]
fn the_tag_of_the_image_is_the_version() {
    let version = env!("CARGO_PKG_VERSION");
    let places = [
        ("conf/kubernetes/kustomization.yaml", "newTag: \"", "\"\n"),
        ("docker/compose.site.yaml", "image: pullgate:", "\n"),
        ("docker/README.md", "/var/lib/pullgate pullgate:", "\n"),
    ];
    for (file, before, behind) in places {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        assert!(text.contains(&format!("{before}{version}{behind}")), "{file}: {before}{version}");
    }
}
