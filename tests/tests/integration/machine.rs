//! What machines read about the binary: the schema of its configuration, completions, man pages.

use crate::binary::{pullgate, text};
use pullgate_tests::yaml;
use std::path::Path;
use std::process::Command;

/// The commands that `--help` lists.
fn commands() -> Vec<String> {
    let help = text(&pullgate(&["--help"]).stdout);
    let listed = help.split_once("Commands:\n").unwrap().1.split_once("\n\n").unwrap().0;
    // Two spaces before a command; more before the rest of a wrapped line.
    let names = listed.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
}

#[test]
fn bash_takes_the_script_and_completes_a_command() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pullgate.bash");
    let output = pullgate(&["completions", "bash"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    std::fs::write(&file, output.stdout).unwrap();
    let complete = "source \"$1\"; COMP_WORDS=(pullgate rel); COMP_CWORD=1; _pullgate pullgate rel pullgate; echo \"${COMPREPLY[@]}\"";
    assert!(Command::new("bash").arg("-n").arg(&file).status().unwrap().success());
    let completed = Command::new("bash").args(["--norc", "-c", complete, "bash"]).arg(&file).output().unwrap();
    assert_eq!(text(&completed.stdout).trim(), "reload", "{}", text(&completed.stderr));
}

#[test]
fn every_shell_has_a_script_with_every_command() {
    let commands = commands();
    assert!(commands.len() >= 10, "{commands:?}");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = pullgate(&["completions", shell]);
        let script = text(&output.stdout);
        for command in &commands {
            assert!(output.status.success() && script.contains(command), "{shell}: {command}");
        }
    }
    assert_eq!(pullgate(&["completions", "csh"]).status.code(), Some(2));
}

#[test]
fn the_man_page_names_every_command_and_each_has_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man");
    let main = text(&pullgate(&["man"]).stdout);
    assert!(pullgate(&["man", "--out", pages.to_str().unwrap()]).status.success());
    assert_eq!(std::fs::read_to_string(pages.join("pullgate.1")).unwrap(), main);
    for command in commands() {
        assert!(main.replace("\\-", "-").contains(&format!("\npullgate-{command}(1)")), "{command} is not in\n{main}");
        let page = std::fs::read_to_string(pages.join(format!("pullgate-{command}.1"))).unwrap();
        assert!(page.contains(".SH SYNOPSIS"), "{command}: {page}");
    }
}

#[test]
fn pages_that_cannot_be_written_are_a_failure() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let output = pullgate(&["man", "--out", file.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("cannot write man pages to"), "{}", text(&output.stderr));
}

/// As an editor does it: the schema that the binary prints, and a file of ours beside it.
#[test]
fn the_schema_takes_our_configuration_and_names_a_misspelt_key() {
    let output = pullgate(&["schema"]);
    assert!(output.status.success() && output.stderr.is_empty(), "{}", text(&output.stderr));
    let schema = serde_json::from_slice(&output.stdout).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../conf/pullgate.yaml");
    let configuration = std::fs::read_to_string(file).unwrap();
    let complaints = |text: &str| -> Vec<String> {
        validator.iter_errors(&yaml::typed(text)).map(|error| format!("{}: {error}", error.instance_path())).collect()
    };
    assert_eq!(complaints(&configuration), [""; 0]);
    for (from, to, at, name) in [
        ("idle_timeout:", "idle_timeuot:", "/listeners/0/limits: ", "idle_timeuot"),
        ("mode: require  ", "mode: requires ", "/hosts/0/origin_pull/mode: ", "requires"),
        ("drain: 30s", "drain: 30", "/runtime/drain: ", "30"),
        ("name: shop", "nam: shop", "/hosts/0: ", "nam"),
    ] {
        assert!(configuration.contains(from), "{from}");
        let complaints = complaints(&configuration.replacen(from, to, 1));
        let is_named = |complaint: &String| complaint.starts_with(at) && complaint.contains(name);
        assert!(complaints.iter().any(is_named), "{to}: {complaints:#?}");
    }
}
