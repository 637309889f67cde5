//! Behaviour, from outside: the real gateway, real TLS, real clients, an origin that keeps a ledger.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails here")]

mod access;
mod admission;
mod binary;
mod bypass;
mod certificates;
mod client_certificate;
mod clients;
mod configuration;
mod countries;
mod descriptors;
mod edge_secret;
mod explain;
mod faults;
mod floods;
mod framing;
mod handshake;
mod headers;
mod kernel_filter;
mod lifecycle;
mod limits;
mod listeners;
mod living;
mod machine;
mod matrix;
mod observability;
mod observed;
mod origin_pull;
mod proxy_protocol;
mod ranges;
mod reload;
mod request_limits;
mod requests;
mod rollout;
mod routing;
mod running;
mod secrets;
mod slow;
mod systemd;
mod tidy;
mod timeouts;
mod tls_attacks;
mod trust;
mod upstreams;
mod visitor;
