//! Origin-pull bypasses as a suite against any TLS server: does an unauthorised request reach a host that demands a client certificate?
//!
//! An attack is plain data ([`Attack`]): a certificate, a session, a name in the handshake, a name in the request. One function makes an
//! attempt out of it, for controls and attacks alike, so that what refuses an attack is known to serve the good.

mod attack;
mod attempt;
mod controls;
mod list;
mod outcome;
mod report;
mod table;
mod target;

pub use attack::{Approach, Ask, Attack, Certificate, Column, Group, Http, Kept, Name, Session, Transport};
pub use list::attacks;
pub use outcome::{How, Outcome, Resumption};
pub use report::{Control, Report, Row, Verdict};
pub use target::{Missing, Site, Target};

/// Runs the controls and then every attack, one attempt after the other.
pub async fn run(target: &Target) -> Report {
    let mut controls = controls::before(target).await;
    let mut rows = Vec::new();
    for attack in attacks() {
        let cells = attempt::each(target, &attack.approach, attack.id).await;
        rows.push(Row { group: attack.group, id: attack.id, name: attack.name, cells });
    }
    controls.extend(controls::after(target).await);
    Report { controls, attacks: rows }
}
