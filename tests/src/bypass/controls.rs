//! What has to be served, so that a refusal means something.

use super::attack::{Approach, Ask, Certificate, Column, Kept, Name};
use super::attempt;
use super::outcome::{How, Outcome};
use super::report::Control;
use super::target::Target;

/// The controls before the attacks.
pub(super) async fn before(target: &Target) -> Vec<Control> {
    let good = Approach::bare(Name::Guarded, Ask::Host(Name::Guarded)).showing(Certificate::Good);
    let wildcard = Approach::bare(Name::Wildcard, Ask::Host(Name::Wildcard)).showing(Certificate::Good);
    let other = Approach::bare(Name::Other, Ask::Host(Name::Other)).showing(Certificate::Other);
    let guarded = [
        ("control-good", "a good certificate, a full handshake", good.clone()),
        (
            "control-resumed",
            "the same by ticket or PSK (Envoy #42668)",
            good.clone().resuming(Name::Guarded, Kept::Ticket),
        ),
        ("control-session-id", "the same by session id", good.clone().resuming(Name::Guarded, Kept::SessionId)),
        ("control-wildcard", "the wildcard name, a good certificate", wildcard),
        ("control-fresh", "a certificate issued just now by --ca", good.showing(Certificate::Fresh)),
    ];
    let elsewhere = [
        ("control-open", "the open host, no certificate", Approach::bare(Name::Open, Ask::Host(Name::Open))),
        ("control-other", "the other host, its certificate", other),
    ];
    let mut controls = Vec::new();
    for (id, name, approach) in guarded {
        controls.push(control(target, id, name, &approach, Expected::Marked).await);
    }
    for (id, name, approach) in elsewhere {
        controls.push(control(target, id, name, &approach, Expected::Unmarked).await);
    }
    controls
}

/// The control after the attacks: the server still stands, and still takes connections from here.
pub(super) async fn after(target: &Target) -> Option<Control> {
    let good = Approach::bare(Name::Guarded, Ask::Host(Name::Guarded)).showing(Certificate::Good);
    Some(control(target, "control-after", "a good certificate, after all attacks", &good, Expected::Marked).await)
}

#[derive(Clone, Copy)]
enum Expected {
    /// The guarded host's answer.
    Marked,
    /// An answer without the marker, where there is one.
    Unmarked,
}

async fn control(
    target: &Target,
    id: &'static str,
    name: &'static str,
    approach: &Approach,
    expected: Expected,
) -> Control {
    let cells = attempt::each(target, approach, id).await;
    let served = |(_, outcome): &(Column, Outcome)| match (expected, outcome) {
        (_, Outcome::NotTried(_)) => true,
        (Expected::Marked, outcome) => outcome.is_through(),
        (Expected::Unmarked, Outcome::Through { .. }) => target.marker.is_none(),
        (Expected::Unmarked, Outcome::Refused { how, .. }) => matches!(how, How::Unmarked(_)),
    };
    let passed = cells.iter().map(served).collect();
    Control { id, name, cells, passed }
}
