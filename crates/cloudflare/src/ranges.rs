//! Range lists as Cloudflare publishes them: one prefix a line (<https://www.cloudflare.com/ips-v4>), or the answer of
//! `GET /client/v4/ips` (<https://developers.cloudflare.com/api/resources/ips/methods/list/>).

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use pullgate_policy::ranges::{Partner, UnfitList, admissible};
use serde::Deserialize;

/// A list that has passed the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Its prefixes.
    pub networks: Vec<IpNet>,
    /// What Cloudflare calls this version of it; the text form says nothing.
    pub etag: Option<String>,
}

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
    /// A partner's prefixes are wanted and not there.
    #[error("the list has no `{0}_cidrs`; Cloudflare's API gives them for `?networks={0}`")]
    PartnerMissing(&'static str),
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
    ipv4_cidrs: Vec<Ipv4Net>,
    ipv6_cidrs: Vec<Ipv6Net>,
    jdcloud_cidrs: Option<Vec<IpNet>>,
    etag: Option<String>,
}

/// Reads a list in either form, with the prefixes of partners where they are wanted. Nothing is skipped: one bad line fails the list.
///
/// # Errors
/// Names what is wrong, with its line where there is one.
pub fn parse(list: &[u8], partners: &[Partner]) -> Result<Published, RangesError> {
    let text = std::str::from_utf8(list).map_err(|_| RangesError::NotText)?;
    let published =
        if text.trim_start().starts_with('{') { from_answer(text, partners)? } else { from_lines(text, partners)? };
    Ok(Published { networks: admissible(published.networks)?, ..published })
}

fn from_answer(text: &str, partners: &[Partner]) -> Result<Published, RangesError> {
    let answer: Answer = serde_json::from_str(text)?;
    let Answer { success: true, result: Some(lists) } = answer else { return Err(RangesError::Unsuccessful) };
    let Lists { ipv4_cidrs, ipv6_cidrs, jdcloud_cidrs, etag } = lists;
    let own = ipv4_cidrs.into_iter().map(IpNet::V4).chain(ipv6_cidrs.into_iter().map(IpNet::V6));
    let mut networks: Vec<IpNet> = own.collect();
    for partner in partners {
        let theirs = match partner {
            Partner::Jdcloud => jdcloud_cidrs.as_deref(),
        };
        networks.extend(theirs.ok_or(RangesError::PartnerMissing(partner.label()))?);
    }
    // It is shown and logged: what is no tag of a sensible size is left out.
    let is_sensible =
        |etag: &String| etag.len() <= LONGEST_ETAG && etag.chars().all(|letter| letter.is_ascii_graphic());
    Ok(Published { networks, etag: etag.filter(is_sensible) })
}

/// Bytes of an etag; Cloudflare's has 32.
pub(crate) const LONGEST_ETAG: usize = 200;

/// One prefix a line; blank lines and lines that start with `#` do not count, nor does a missing newline at the end.
fn from_lines(text: &str, partners: &[Partner]) -> Result<Published, RangesError> {
    if let Some(partner) = partners.first() {
        return Err(RangesError::PartnerMissing(partner.label()));
    }
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    let networks = lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(line, text)| {
            text.parse().map_err(|_| RangesError::NotAPrefix { line, text: text.chars().take(40).collect() })
        })
        .collect::<Result<_, _>>()?;
    Ok(Published { networks, etag: None })
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
        let from_json = parse(answer.to_string().as_bytes(), &[]).unwrap();
        // The published text has no newline at its end: nothing may be lost or glued together for it.
        let from_text = parse(BUILTIN.join("\n").as_bytes(), &[]).unwrap();
        let with_crlf = parse(format!("# a comment\r\n\r\n{}\r\n", BUILTIN.join("\r\n")).as_bytes(), &[]).unwrap();
        assert_eq!(from_json.networks.len(), 22);
        assert_eq!(from_json.etag.as_deref(), Some("38f79d050aa027e3be3865e495dcc9bc"));
        assert_eq!(from_json.networks, from_text.networks);
        assert_eq!(from_text, with_crlf);
    }

    #[test]
    fn the_china_network_where_it_is_wanted() {
        let (v4, v6) = BUILTIN.split_at(15);
        let answer = |china: serde_json::Value| {
            let result = serde_json::json!({"ipv4_cidrs": v4, "ipv6_cidrs": v6, "jdcloud_cidrs": china, "etag": "a b"});
            serde_json::json!({"result": result, "success": true}).to_string().into_bytes()
        };
        let mixed = answer(serde_json::json!(["106.225.240.96/27", "2408:8719:64:50:1000::/68"]));
        assert_eq!(parse(&mixed, &[Partner::Jdcloud]).unwrap().networks.len(), 24);
        assert_eq!(
            parse(&mixed, &[]).unwrap(),
            Published { networks: parse(&mixed, &[]).unwrap().networks, etag: None }
        );
        assert_eq!(parse(&mixed, &[]).unwrap().networks.len(), 22);
        for without in [answer(serde_json::Value::Null), BUILTIN.join("\n").into_bytes()] {
            let error = parse(&without, &[Partner::Jdcloud]).unwrap_err().to_string();
            assert!(error.contains("no `jdcloud_cidrs`"), "{error}");
        }
        let private = answer(serde_json::json!(["10.0.0.0/27"]));
        assert!(parse(&private, &[Partner::Jdcloud]).unwrap_err().to_string().contains("not public"));
    }

    #[test]
    fn what_is_no_list() {
        let truncated = &br#"{"result":{"ipv4_cidrs":["173.245.48.0/20""#[..];
        let failed = &br#"{"success":false,"result":null,"errors":[{"code":1000}]}"#[..];
        let half = &br#"{"success":true,"result":{"ipv4_cidrs":["173.245.48.0/20"],"ipv6_cidrs":[]}}"#[..];
        let crossed =
            &br#"{"success":true,"result":{"ipv4_cidrs":["2400:cb00::/32"],"ipv6_cidrs":["2606:4700::/32"]}}"#[..];
        let table: [(&[u8], &str); 9] = [
            (crossed, "not an answer"),
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
            let error = parse(list, &[]).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
