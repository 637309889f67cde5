//! docs/visitor.md tells of every header that passes, and of every feature, and its examples load.

use pullgate_policy::Feature;
use pullgate_policy::headers::SENT;
use pullgate_tests::stage::{Props, Recipe};

fn page() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/visitor.md")).unwrap()
}

#[test]
fn every_example_of_the_page_loads_in_its_section() {
    let page = page();
    let blocks: Vec<&str> = page.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(blocks.len(), 3, "{blocks:#?}");
    for block in blocks {
        let mut recipe = Recipe::default();
        if let Some(listener) = block.strip_prefix("listeners:\n") {
            recipe.listeners.push_str(listener);
        } else {
            let keys = block.strip_prefix("hosts:\n  - name: shop\n").unwrap();
            recipe.hosts = recipe.hosts.replacen("    routes:", &format!("{keys}    routes:"), 1);
        }
        let props = Props::new();
        let file = props.write(&recipe, "127.0.0.1:9");
        pullgate::load(&file).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn the_page_names_every_header_that_passes_in_the_row_of_its_feature() {
    let page = page().to_ascii_lowercase();
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
    for sent in SENT {
        let name = format!("`{}`", sent.name);
        let row = rows.iter().find(|row| row.split('|').nth(1).is_some_and(|cell| cell.contains(&name)));
        let row = row.unwrap_or_else(|| panic!("{name} has no row"));
        if let Some(feature) = sent.feature {
            assert!(row.contains(&format!("feature `{}`", feature.label())), "{row}");
        }
    }
    for feature in Feature::ALL {
        assert!(rows.iter().any(|row| row.contains(&format!("feature `{}`", feature.label()))), "{feature:?}");
    }
}
