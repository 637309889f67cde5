//! "Did you mean": the known word that a misspelt one was most likely meant to be.

/// The closest of the known words; none where no word is close.
pub(crate) fn closest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let given = folded(given);
    let scored = known.into_iter().filter_map(|word| Some((distance(&given, &folded(word))?, word)));
    scored.min_by_key(|(distance, _)| *distance).map(|(_, word)| word)
}

/// The help for a word that is not among the known ones.
pub(crate) fn did_you_mean<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    closest(given, known).map(|word| format!("did you mean `{word}`?"))
}

/// Edits between two words, none where they are too many to be a slip: one in three letters, and at least one.
fn distance(given: &str, word: &str) -> Option<usize> {
    let (one, other) = (given.chars().count(), word.chars().count());
    let (shorter, longer) = (one.min(other), one.max(other));
    // `cert` for `certificate`: cut short, not misspelt.
    if shorter >= 4 && (word.starts_with(given) || given.starts_with(word)) {
        return Some(1);
    }
    let edits = strsim::damerau_levenshtein(given, word);
    (shorter >= 2 && edits <= (longer / 3).max(1)).then_some(edits)
}

fn folded(word: &str) -> String {
    word.to_lowercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_find_their_word_and_other_words_find_none() {
        let keys = ["hostnames", "certificate", "idle_timeout", "rate-limit", "of", "shop", "header_timeout"];
        let table = [
            ("hostname", Some("hostnames")),
            ("hotsnames", Some("hostnames")),
            ("HostNames", Some("hostnames")),
            ("cert", Some("certificate")),
            ("certificates", Some("certificate")),
            ("idle-timeout", Some("idle_timeout")),
            ("rate_limits", Some("rate-limit")),
            ("shpo", Some("shop")),
            ("headers_timeout", Some("header_timeout")),
            ("on", Some("of")),
            ("soap", None),
            ("", None),
            ("x", None),
            ("api", None),
            ("listeners", None),
            ("connections", None),
        ];
        for (given, expected) in table {
            assert_eq!(closest(given, keys), expected, "{given}");
        }
    }

    #[test]
    fn the_closest_of_several_wins() {
        assert_eq!(closest("requir", ["require", "required"]), Some("require"));
        assert_eq!(did_you_mean("of", ["off", "observe"]).as_deref(), Some("did you mean `off`?"));
    }
}
