//! What the bench of peers is made of: processes whose CPU time is read, configurations of the peers, and the work they all do.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a bench that cannot go on fails here")]

pub mod gateways;
pub mod peers;
pub mod plot;
pub mod table;
pub mod work;
