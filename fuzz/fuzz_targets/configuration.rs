//! Configurations: whatever the text, there is a configuration or at least one problem, each at a place that the text has.
#![no_main]

use ipnet::IpNet;
use libfuzzer_sys::fuzz_target;
use pullgate_config::{CertificateCheck, CertificateFault, Severity, World, load, state_dir};
use pullgate_policy::ranges::{Partner, builtin};
use rustls_pki_types::UnixTime;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = state_dir("fuzzed.yaml", text, &Plain);
    match load("fuzzed.yaml", text, &Plain) {
        Ok(loaded) => {
            let config = loaded.config;
            assert!(!config.listeners.is_empty() && !config.hosts.is_empty());
            let again = load("fuzzed.yaml", text, &Plain).expect("the same text loads again");
            assert_eq!(config.text, again.config.text);
        }
        Err(problems) => {
            assert!(!problems.list().is_empty(), "refused without a word");
            // What ends too early is wrong behind its last line. A carriage return alone ends a line of YAML too (YAML 1.2, section 5.4).
            let lines = text.bytes().filter(|byte| matches!(byte, b'\n' | b'\r')).count() + 1;
            for problem in problems.list() {
                assert!((1..=lines + 1).contains(&problem.at.line), "line {} of {lines}", problem.at.line);
                assert!(!problem.show(Severity::Error, "fuzzed.yaml", text).to_string().is_empty());
            }
        }
    }
});

/// A world without files in which every name resolves.
struct Plain;

impl World for Plain {
    fn now(&self) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(1_790_000_000))
    }

    fn variable(&self, name: &str) -> Option<String> {
        (name == "SET").then(|| "value".to_owned())
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if path.ends_with("there") { Ok(b"text".to_vec()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn resolve(&self, _server: &str) -> io::Result<SocketAddr> {
        Ok(([192, 0, 2, 1], 80).into())
    }

    fn is_new(&self, _digest: [u8; 32]) -> bool {
        false
    }

    fn check_certificate(
        &self,
        _chain: &[u8],
        _key: &[u8],
        _ocsp: Option<&[u8]>,
    ) -> Result<CertificateCheck, CertificateFault> {
        Ok(CertificateCheck { not_after: self.now(), key: "ECDSA", ocsp_until: None })
    }

    fn ranges(&self, _list: &[u8], _partners: &[Partner]) -> Result<Vec<IpNet>, String> {
        Ok(builtin())
    }
}
