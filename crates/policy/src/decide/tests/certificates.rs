//! The visitor's certificate on its way through the decision: who is believed, and what the upstream hears.

use super::*;
use crate::policies::ClientCertificate;
use crate::visitor_certificate::CertificateFields;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::sync::LazyLock;

/// `Client-Cert` of a visitor's certificate.
static SHOWN: LazyLock<String> = LazyLock::new(|| format!(":{}:", STANDARD.encode(&Ca::root("client CA").client()[0])));

/// What the transform says of it.
const TOLD: [(&str, &str); 5] = [
    ("cf-cert-presented", "true"),
    ("cf-cert-verified", "true"),
    ("cf-cert-revoked", "false"),
    ("cf-cert-sha256", "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"),
    ("cf-cert-subject-dn-rfc2253", "CN=zone.example.com"),
];

fn policy(subject: &str, mode: Mode) -> Attached {
    let policy = ClientCertificate::new(None, vec![subject.parse().unwrap()], vec![]).unwrap();
    attached("client-certificate", mode, policy)
}

fn declaring(fields: Option<CertificateFields>, policies: Vec<Attached>) -> Rules {
    let mut host = Host { policies, ..shop() };
    host.visitor.client_certificate = fields;
    rules(vec![host])
}

/// A request in every spelling and every family.
fn loud() -> Arrival {
    let told = |arrival: Arrival| TOLD.iter().fold(arrival, |arrival, (name, value)| arrival.with(name, value));
    told(Arrival::good())
        .with("client-cert", &*SHOWN)
        .with("client_cert", "forged")
        .with("client-cert-chain", &*SHOWN)
        .with("cf_cert_verified", "forged")
        .with("cf-cert-made-up", "forged")
        .with("cf-client-cert-der-base64", SHOWN.trim_matches(':'))
        .with("cf-client-cert-sha256", "forged")
        .with("x-client-cert", "forged")
        .with("x-ssl-client-verify", "forged")
}

/// The fields about certificates that the upstream gets.
fn heard(arrival: &Arrival, rules: &Rules) -> Vec<(String, String)> {
    let about = |name: &str| ["cert", "ssl"].iter().any(|word| name.contains(word));
    let forwarded = arrival.forwarded(rules);
    let fields = forwarded.iter().filter(|(name, _)| about(name.as_str()));
    fields.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect()
}

#[test]
fn the_upstream_hears_of_the_declared_family_alone() {
    let written = vec![("client-cert".to_owned(), SHOWN.clone())];
    let told: Vec<_> = TOLD.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let table = [
        (None, vec![]),
        (Some(CertificateFields::Rfc9440), written),
        (Some(CertificateFields::CfCert), told),
        // Its hash is forged.
        (Some(CertificateFields::CfClientCert), vec![]),
    ];
    for (fields, mut expected) in table {
        let mut heard = heard(&loud(), &declaring(fields, vec![]));
        heard.sort();
        expected.sort();
        assert_eq!(heard, expected, "{fields:?}");
    }
}

#[test]
fn nobody_is_believed_who_was_admitted_as_anybody() {
    let stranger = || loud().admitted_as(Source::Anybody);
    for fields in [CertificateFields::Rfc9440, CertificateFields::CfCert] {
        let guarded = declaring(Some(fields), vec![policy("CN=zone.example.com", Mode::Enforce)]);
        assert_eq!(loud().outcome(&guarded), Ok(()));
        assert_eq!(loud().admitted_as(Source::Listed).outcome(&guarded), Ok(()));
        assert_eq!(stranger().outcome(&guarded), Err(Reason::ClientCertificateMissing));
        assert_eq!(heard(&stranger(), &declaring(Some(fields), vec![])), []);
    }
    // One that has proved more is believed from wherever it comes.
    let ca = Ca::root("zone");
    let mut host = Host { origin_pull: OriginPull::Require(ca.trust()), ..shop() };
    host.visitor.client_certificate = Some(CertificateFields::Rfc9440);
    let proven = stranger().shown(ca.client(), &ca.trust());
    assert_eq!(heard(&proven, &rules(vec![host])), [("client-cert".to_owned(), SHOWN.clone())]);
}

#[test]
fn the_fields_of_another_feature_prove_nothing() {
    let asking = |fields| declaring(fields, vec![policy("CN=zone.example.com", Mode::Enforce)]);
    let only = |name: &str| {
        let mut arrival = Arrival::good();
        let own = loud().headers;
        let fields = own.iter().filter(|(field, _)| field.as_str().starts_with(name));
        arrival.headers.extend(fields.map(|(name, value)| (name.clone(), value.clone())));
        arrival
    };
    let (written, told) = (only("client-cert"), only("cf-cert-"));
    let (rfc9440, cf_cert) = (Some(CertificateFields::Rfc9440), Some(CertificateFields::CfCert));
    for (fields, own, other) in [(rfc9440, &written, &told), (cf_cert, &told, &written)] {
        assert_eq!(own.outcome(&asking(fields)), Ok(()));
        assert_eq!(other.outcome(&asking(fields)), Err(Reason::ClientCertificateMissing));
        assert_eq!(own.outcome(&asking(None)), Err(Reason::ClientCertificateMissing));
    }
}

/// What is watched passes as it would without the policy, which is what the mode is for.
#[test]
fn observing_takes_nothing_from_the_upstream() {
    let watched = declaring(Some(CertificateFields::Rfc9440), vec![policy("CN=alice", Mode::Observe)]);
    let ruling = loud().ruling(&watched);
    assert_eq!(ruling.observed[0].reason, "client_certificate_subject");
    assert_eq!(heard(&loud(), &watched), [("client-cert".to_owned(), SHOWN.clone())]);
}

#[test]
fn the_operator_has_the_last_word() {
    let mut host = shop();
    host.visitor.client_certificate = Some(CertificateFields::Rfc9440);
    host.headers.remove = vec![http::HeaderName::from_static("client-cert")];
    assert_eq!(heard(&loud(), &rules(vec![host])), []);
}
