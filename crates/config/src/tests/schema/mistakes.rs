//! The mistakes that the readers name: the schema finds each of them, but for those that no schema can know.

use super::*;

/// What is said of mistakes that only a load finds: other files, other keys, the meaning of a text.
#[rustfmt::skip]
const BEYOND: &[&str] = &[
    // Files and names of the outside.
    "cannot read `", "cannot resolve `", "is no range", "the list has no IPv4 prefix", "the list has no IPv6 prefix",
    "is not public unicast space", "no certificate in it", "no private key in it", "no answer for this certificate in it",
    "this key does not belong to the certificate", "no certificate in PEM form", "no revocation list in PEM form",
    "no CA of the list is in force", "two CAs of `trust` are called", "no list here is issued by",
    "there is no secret in it", "a secret of fewer than 16 bytes", "a header carries one line of visible ASCII",
    "a secret has 1024 bytes at most", "a file before it holds the same secret",
    // What keys and sections have to agree on.
    "is given twice", "there is no host `", "there is no upstream `", "an https listener serves this host",
    "no https listener serves this host", "whoever opens the socket decides this", "the listener's address is an IPv4 one",
    "anybody may connect here", "only `source: api` fetches a list", "only `source: file` reads a file",
    "the compiled-in list has no partners' networks", "without Cloudflare's feature `", "passes Cloudflare as visitors send it",
    "is made up from an IPv6 address", "is the header of an `edge-secret`", "is the label of the check of `origin_pull`",
    "a policy without networks decides nothing", "a policy without countries decides nothing", "nobody is named",
    "a certificate by itself is no identity", "nothing tells this host of its visitors' certificates",
    "the fields of cf-cert describe a certificate", "the fields of cf-client-cert do not say",
    "`respond` forwards nothing", "the host refuses TRACE", "takes every method of this path already", "takes GET of this path already",
    "keys would be dropped before they are fetched again", "come from somewhere else",
    "Cloudflare's origin-pull CA certifies the edge",
    // What a text means.
    "is longer than a year", "is too often", "is not from 1KiB to below 1MiB", "belongs to the connection",
    "unknown placeholder", "is a header of the gateway's or Cloudflare's own", "is needed by HTTP or applications",
    "is not a type of attribute", "is not a distinguished name", "is added by the gateway",
];

#[test]
fn what_the_readers_refuse_the_schema_refuses_where_it_can_know() {
    let mut used = vec![false; BEYOND.len()];
    for text in refused::texts() {
        let (problems, complaints) = (wrong(&text), complaints(&value_of(&text)));
        for problem in problems.list() {
            let beyond = BEYOND.iter().position(|words| problem.message.contains(words));
            let is_found = complaints.iter().any(|complaint| complaint.paths.contains(&problem.key));
            assert_ne!(beyond.is_some(), is_found, "{problem:?}\n{complaints:#?}\n{text}");
            if let Some(at) = beyond {
                used[at] = true;
            }
        }
        for complaint in &complaints {
            assert!(problems.list().iter().any(|problem| is_of(complaint, problem)), "{complaint:#?}\n{problems}");
        }
    }
    let unused: Vec<&str> = BEYOND.iter().zip(used).filter(|(_, used)| !used).map(|(words, _)| *words).collect();
    assert_eq!(unused, [""; 0]);
}

/// Of a value that should not be there at all, the readers do not say what else is wrong in it; and a misspelt key is not missing besides.
fn is_of(complaint: &Complaint, problem: &Problem) -> bool {
    let meant = |path: &str| {
        let help = problem.help.as_deref().and_then(|help| help.strip_prefix("did you mean `")?.strip_suffix("`?"));
        help.is_some_and(|meant| path.ends_with(&format!(".{meant}")))
    };
    complaint.paths.iter().any(|path| path.starts_with(&problem.key) || meant(path))
}
