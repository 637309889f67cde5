//! Range lists as Cloudflare publishes them: one prefix a line (<https://www.cloudflare.com/ips-v4>), or the answer of
//! `GET /client/v4/ips` (<https://developers.cloudflare.com/api/resources/ips/methods/list/>).

use ipnet::IpNet;
use pullgate_policy::ranges::{UnfitList, admissible};
use serde::Deserialize;

/// Why a list is not taken.
#[derive(Debug, thiserror::Error)]
pub enum RangesError {
    /// The text is not UTF-8.
    #[error("the list is not text")]
    NotText,
    /// A line is no prefix.
    #[error("line {line}: `{text}` is not a prefix such as 173.245.48.0/20")]
    NotAPrefix {
        /// Its number, from 1.
        line: usize,
        /// What stands there, shortened.
        text: String,
    },
    /// The JSON is not the API's.
    #[error("the JSON is not an answer of Cloudflare's API: {0}")]
    NotAnAnswer(#[from] serde_json::Error),
    /// The API says that it failed.
    #[error("the answer says `success: false`")]
    Unsuccessful,
    /// The list could not be right.
    #[error(transparent)]
    Unfit(#[from] UnfitList),
}

#[derive(Deserialize)]
struct Answer {
    success: bool,
    result: Option<Lists>,
}

#[derive(Deserialize)]
struct Lists {
    ipv4_cidrs: Vec<IpNet>,
    ipv6_cidrs: Vec<IpNet>,
}

/// Reads a list in either form. Nothing is skipped: one bad line fails the list.
///
/// # Errors
/// Names what is wrong, with its line where there is one.
pub fn parse(list: &[u8]) -> Result<Vec<IpNet>, RangesError> {
    let text = std::str::from_utf8(list).map_err(|_| RangesError::NotText)?;
    let prefixes = if text.trim_start().starts_with('{') { from_answer(text)? } else { from_lines(text)? };
    Ok(admissible(prefixes)?)
}

fn from_answer(text: &str) -> Result<Vec<IpNet>, RangesError> {
    let answer: Answer = serde_json::from_str(text)?;
    match answer {
        Answer { success: true, result: Some(lists) } => Ok([lists.ipv4_cidrs, lists.ipv6_cidrs].concat()),
        Answer { .. } => Err(RangesError::Unsuccessful),
    }
}

/// One prefix a line; blank lines and lines that start with `#` do not count, nor does a missing newline at the end.
fn from_lines(text: &str) -> Result<Vec<IpNet>, RangesError> {
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(line, text)| {
            text.parse().map_err(|_| RangesError::NotAPrefix { line, text: text.chars().take(40).collect() })
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails here")]
mod tests {
    use super::*;
    use pullgate_policy::ranges::BUILTIN;

    #[test]
    fn both_forms_of_the_published_list() {
        let (v4, v6) = BUILTIN.split_at(15);
        let answer = serde_json::json!({
            "result": {"ipv4_cidrs": v4, "ipv6_cidrs": v6, "etag": "38f79d050aa027e3be3865e495dcc9bc"},
            "success": true, "errors": [], "messages": [],
        });
        let from_json = parse(answer.to_string().as_bytes()).unwrap();
        // The published text has no newline at its end: nothing may be lost or glued together for it.
        let from_text = parse(BUILTIN.join("\n").as_bytes()).unwrap();
        let with_crlf = parse(format!("# a comment\r\n\r\n{}\r\n", BUILTIN.join("\r\n")).as_bytes()).unwrap();
        assert_eq!(from_json.len(), 22);
        assert_eq!(from_json, from_text);
        assert_eq!(from_json, with_crlf);
    }

    #[test]
    fn what_is_no_list() {
        let truncated = &br#"{"result":{"ipv4_cidrs":["173.245.48.0/20""#[..];
        let failed = &br#"{"success":false,"result":null,"errors":[{"code":1000}]}"#[..];
        let half = &br#"{"success":true,"result":{"ipv4_cidrs":["173.245.48.0/20"],"ipv6_cidrs":[]}}"#[..];
        let table: [(&[u8], &str); 8] = [
            (b"", "no IPv4 prefix"),
            (b"\n\n", "no IPv4 prefix"),
            (b"<html><body>moved</body></html>", "line 1: `<html><body>moved"),
            (b"173.245.48.0/20\n173.245.48.0/2x\n", "line 2"),
            (b"173.245.48.0/20103.21.244.0/22\n", "line 1"),
            (truncated, "not an answer"),
            (failed, "success: false"),
            (half, "no IPv6 prefix"),
        ];
        for (list, expected) in table {
            let error = parse(list).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
