//! The attacks, in the order of the table.

use super::attack::{Approach, Ask, Attack, Certificate, Group, Kept, Name};

/// Every attack.
#[must_use]
pub fn attacks() -> Vec<Attack> {
    [certificates(), sessions(), fronting(), kept(), spellings(), plain()].concat()
}

type Line = (&'static str, &'static str, Approach);

const ASK: Ask = Ask::Host(Name::Guarded);

fn group<const COUNT: usize>(group: Group, lines: [Line; COUNT]) -> Vec<Attack> {
    lines.into_iter().map(|(id, name, approach)| Attack { group, id, name, approach }).collect()
}

fn certificates() -> Vec<Attack> {
    let with = |certificate| Approach::bare(Name::Guarded, ASK).showing(certificate);
    let lines = [
        ("no-certificate", "none", with(Certificate::None)),
        ("other-authority", "of another authority", with(Certificate::Other)),
        ("expired", "expired", with(Certificate::Expired)),
        ("not-yet-valid", "not yet valid", with(Certificate::NotYetValid)),
        ("server-only", "for servers only (extended key usage)", with(Certificate::ServerOnly)),
        ("forged-issuer", "forged issuer of the same name", with(Certificate::Forged)),
        ("leaf-by-leaf", "issued by a leaf", with(Certificate::ByLeaf)),
        ("self-signed", "self-signed", with(Certificate::SelfSigned)),
        ("stolen", "a good one without its key", with(Certificate::Stolen)),
        (
            "wildcard-no-certificate",
            "none, for the wildcard name",
            Approach::bare(Name::Wildcard, Ask::Host(Name::Wildcard)),
        ),
    ];
    group(Group::Certificates, lines)
}

fn sessions() -> Vec<Attack> {
    let open = |sni, kept| Approach::bare(sni, ASK).resuming(Name::Open, kept);
    let other = |sni, kept| Approach::bare(sni, ASK).showing(Certificate::Other).resuming(Name::Other, kept);
    let wildcard = Approach::bare(Name::Wildcard, Ask::Host(Name::Wildcard)).resuming(Name::Open, Kept::Ticket);
    let lines = [
        ("open-session", "open's ticket/PSK; SNI and Host guarded", open(Name::Guarded, Kept::Ticket)),
        ("open-session-id", "open's session id; SNI and Host guarded", open(Name::Guarded, Kept::SessionId)),
        ("open-session-wildcard", "open's ticket/PSK; SNI and Host wildcard", wildcard),
        ("open-session-fronted", "open's ticket/PSK; SNI open, Host guarded", open(Name::Open, Kept::Ticket)),
        ("open-session-id-fronted", "open's session id; SNI open, Host guarded", open(Name::Open, Kept::SessionId)),
        ("open-session-nameless", "open's ticket/PSK; no SNI, Host guarded", open(Name::Absent, Kept::Ticket)),
        ("other-session", "other's ticket/PSK; SNI and Host guarded", other(Name::Guarded, Kept::Ticket)),
        ("other-session-id", "other's session id; SNI and Host guarded", other(Name::Guarded, Kept::SessionId)),
        ("other-session-fronted", "other's ticket/PSK; SNI other, Host guarded", other(Name::Other, Kept::Ticket)),
        (
            "other-session-id-fronted",
            "other's session id; SNI other, Host guarded",
            other(Name::Other, Kept::SessionId),
        ),
        ("other-session-nameless", "other's ticket/PSK; no SNI, Host guarded", other(Name::Absent, Kept::Ticket)),
    ];
    group(Group::Sessions, lines)
}

fn fronting() -> Vec<Attack> {
    let other = |sni| Approach::bare(sni, ASK).showing(Certificate::Other);
    let wildcard = Ask::Host(Name::Wildcard);
    let lines = [
        ("sni-open", "SNI open, Host guarded", Approach::bare(Name::Open, ASK)),
        ("sni-open-wildcard", "SNI open, Host wildcard", Approach::bare(Name::Open, wildcard)),
        ("sni-other", "SNI other, its certificate, Host guarded", other(Name::Other)),
        (
            "sni-other-wildcard",
            "SNI other, its certificate, Host wildcard",
            Approach::bare(Name::Other, wildcard).showing(Certificate::Other),
        ),
        ("sni-absent", "no SNI, Host guarded", Approach::bare(Name::Absent, ASK)),
        ("sni-absent-other", "no SNI, other's certificate, Host guarded", other(Name::Absent)),
        ("sni-unknown", "unknown SNI, Host guarded", Approach::bare(Name::Unknown, ASK)),
        ("sni-unknown-other", "unknown SNI, other's certificate", other(Name::Unknown)),
    ];
    group(Group::Fronting, lines)
}

fn kept() -> Vec<Attack> {
    let open = Approach::bare(Name::Open, ASK);
    let other = Approach::bare(Name::Other, ASK).showing(Certificate::Other);
    let lines = [
        ("kept-open", "after a good request to the open host", open.clone().after(&[Name::Open])),
        ("kept-refused", "after a refusal", open.after(&[Name::Open, Name::Guarded])),
        ("kept-other", "after a good request to the other host", other.after(&[Name::Other])),
    ];
    group(Group::Kept, lines)
}

fn spellings() -> Vec<Attack> {
    let open = |ask| Approach::bare(Name::Open, ask);
    let lines = [
        ("upper-case", "SNI open, Host in upper case", open(Ask::UpperCase)),
        ("trailing-dot", "SNI open, Host with a dot at its end", open(Ask::TrailingDot)),
        ("with-port", "SNI open, Host with the port", open(Ask::WithPort)),
        (
            "target-guarded",
            "SNI open, target guarded, Host open",
            open(Ask::Both { target: Name::Guarded, host: Name::Open }),
        ),
        (
            "target-open",
            "SNI open, target open, Host guarded",
            open(Ask::Both { target: Name::Open, host: Name::Guarded }),
        ),
        ("two-hosts", "SNI open, two Hosts", open(Ask::TwoHosts)),
    ];
    group(Group::Spellings, lines)
}

fn plain() -> Vec<Attack> {
    let lines = [
        ("plain", "Host guarded", Approach::plain(ASK)),
        ("plain-wildcard", "Host wildcard", Approach::plain(Ask::Host(Name::Wildcard))),
        (
            "plain-target",
            "target guarded, Host open",
            Approach::plain(Ask::Both { target: Name::Guarded, host: Name::Open }),
        ),
        ("plain-kept", "after a good request to the open host", Approach::plain(ASK).after(&[Name::Open])),
    ];
    group(Group::Plain, lines)
}
