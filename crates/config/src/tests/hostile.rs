//! Texts that nobody wrote: whatever they are, the answer is a configuration, which editors approve too, or problems.

use super::*;
use proptest::prelude::*;

const COMPLETE: &str = include_str!("complete.yaml");

/// What may be put into a text in place of something else.
const SCRAPS: [&str; 24] = [
    "",
    "\n",
    " ",
    "\t",
    ":",
    ": ",
    "- ",
    "{",
    "}",
    "[",
    "]",
    "\"",
    "'",
    "&a ",
    "*a",
    "!!x ",
    "? ",
    "| \n",
    "<<: ",
    "${",
    "---\n",
    "~",
    "\u{0}",
    "ü\u{85}\u{2028}",
];

fn survive(text: &str) {
    match load("test.yaml", text, &Village::default()) {
        Ok(_) => schema::approve(text),
        Err(problems) => {
            assert!(!problems.list().is_empty(), "refused without a reason:\n{text}");
            let shown = problems.to_string();
            assert!(shown.ends_with("problem") || shown.ends_with("problems"), "{shown}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        survive(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn random_scraps(scraps in prop::collection::vec((0..SCRAPS.len(), "[a-z]{0,3}"), 0..60)) {
        let text: String = scraps.iter().flat_map(|(scrap, word)| [SCRAPS[*scrap], word]).collect();
        survive(&text);
    }

    #[test]
    fn valid_files_with_scraps_in_them(edits in prop::collection::vec((0..COMPLETE.len(), 0..SCRAPS.len(), 0..12usize), 1..6)) {
        let mut text: Vec<char> = COMPLETE.chars().collect();
        for (at, scrap, gone) in edits {
            let at = at % text.len();
            let end = (at + gone).min(text.len());
            text.splice(at..end, SCRAPS[scrap].chars());
        }
        survive(&text.into_iter().collect::<String>());
    }

    #[test]
    fn valid_files_with_lines_moved(moves in prop::collection::vec((0..200usize, 0..200usize), 1..5)) {
        let mut lines: Vec<&str> = COMPLETE.lines().collect();
        for (from, to) in moves {
            let line = lines.remove(from % lines.len());
            lines.insert(to % (lines.len() + 1), line);
        }
        survive(&lines.join("\n"));
    }
}

#[test]
fn valid_files_cut_off_anywhere() {
    for (at, _) in COMPLETE.char_indices() {
        survive(&COMPLETE[..at]);
    }
}
