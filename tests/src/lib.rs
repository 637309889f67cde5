//! The harness: a PKI made at run time, an origin that keeps a ledger, real clients, and a stage that puts a gateway between them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails here")]

pub mod bypass;
pub mod client;
pub mod collector;
pub mod feed;
pub mod frames;
pub mod hello;
pub mod legacy;
pub mod origin;
pub mod pki;
pub mod ports;
pub mod signer;
pub mod soak;
pub mod stage;
pub mod team;
pub mod yaml;
