//! `pullgate demo`: the main job on one machine. Loopback addresses play the parts: 127.0.1.1 is Cloudflare, 127.0.2.1 a stranger.

mod origin;
mod pki;

use crate::gateway::{Gateway, StartError};
use crate::world::{LoadError, System, load};
use origin::Origin;
use pki::{Pki, mint};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

/// A play-acted Cloudflare, the gateway and an origin.
#[derive(Debug)]
pub struct Demo {
    folder: TempDir,
    pki: Pki,
    origin: Origin,
    gateway: Gateway,
    listener: SocketAddr,
}

/// The demo cannot run.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// Its PKI.
    #[error("the throw-away PKI cannot be made: {0}")]
    Pki(String),
    /// Files, sockets, output.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Its configuration.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Its gateway.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The client is not there.
    #[error("curl cannot be run: {0}; install it, on Debian with `apt-get install curl`")]
    NoCurl(io::Error),
    /// The listener is missing from its own configuration: a bug.
    #[error("the demo's listener is not open")]
    NoListener,
}

/// curl's exit code where nobody answered.
const CURL_TIMED_OUT: i32 = 28;

const LISTENER: &str = "https";
const HOSTNAME: &str = "shop.example.com";
const CLOUDFLARE: &str = "127.0.1.1";
const STRANGER: &str = "127.0.2.1";
const VISITOR: &str = "203.0.113.7";
const FORGED: &str = "198.51.100.66";

/// One scene: what is asked, and what has to come of it.
struct Scene {
    title: &'static str,
    from: &'static str,
    hostname: &'static str,
    certificate: bool,
    headers: &'static [&'static str],
    expected: Expected,
}

enum Expected {
    /// 200, and the origin saw the visitor's own address and nothing of the forged one.
    Served,
    /// No HTTP answer, and nothing at the origin.
    TurnedAway(&'static str),
    /// Not even a connection, where the kernel takes a filter.
    Dropped,
}

const SCENES: [Scene; 5] = [
    Scene {
        title: "A request as Cloudflare sends it",
        from: CLOUDFLARE,
        hostname: HOSTNAME,
        certificate: true,
        headers: &["CF-Connecting-IP: 203.0.113.7", "CF-Ray: 8c1f0a2b3c4d5e6f-FRA", "CF-IPCountry: DE"],
        expected: Expected::Served,
    },
    Scene {
        title: "The same without a certificate",
        from: CLOUDFLARE,
        hostname: HOSTNAME,
        certificate: false,
        headers: &["CF-Connecting-IP: 203.0.113.7"],
        expected: Expected::TurnedAway("the handshake ends: no certificate, no request"),
    },
    Scene {
        title: "The same from a stranger's address",
        from: STRANGER,
        hostname: HOSTNAME,
        certificate: true,
        headers: &["CF-Connecting-IP: 203.0.113.7"],
        expected: Expected::Dropped,
    },
    Scene {
        title: "A hostname that nobody configured",
        from: CLOUDFLARE,
        hostname: "unknown.example.com",
        certificate: true,
        headers: &["CF-Connecting-IP: 203.0.113.7"],
        expected: Expected::TurnedAway("the handshake ends with `unrecognized_name`: no certificate is shown"),
    },
    Scene {
        title: "A visitor who forges an address",
        from: CLOUDFLARE,
        hostname: HOSTNAME,
        certificate: true,
        headers: &[
            "CF-Connecting-IP: 203.0.113.7",
            "X-Forwarded-For: 198.51.100.66",
            "X-Real-IP: 198.51.100.66",
            "True-Client-IP: 198.51.100.66",
            "CF_Connecting_IP: 198.51.100.66",
        ],
        expected: Expected::Served,
    },
];

impl Demo {
    /// Mints the PKI and starts origin and gateway on free ports of the loopback.
    ///
    /// # Errors
    /// When one of them does not come up.
    pub fn start() -> Result<Self, DemoError> {
        let folder = tempfile::Builder::new().prefix("pullgate-demo-").tempdir()?;
        let pki = mint(folder.path(), HOSTNAME).map_err(|error| DemoError::Pki(error.to_string()))?;
        let origin = Origin::start()?;
        let file = folder.path().join("pullgate.yaml");
        std::fs::write(&file, configuration(origin.address))?;
        let gateway = Gateway::start(load(&file)?.config, &System::beside(&file))?;
        let listener = gateway.address(LISTENER).ok_or(DemoError::NoListener)?;
        Ok(Self { folder, pki, origin, gateway, listener })
    }

    /// Plays the five scenes with curl; whether all came out right.
    ///
    /// # Errors
    /// When curl cannot be run, or the output not be written.
    pub fn show(&self, out: &mut impl Write) -> Result<bool, DemoError> {
        let gateway = self.listener;
        writeln!(out, "Pullgate stands on https://{gateway} in front of an origin on http://{}.", self.origin.address)?;
        writeln!(out, "On this machine {CLOUDFLARE} plays Cloudflare and {STRANGER} a stranger.\n")?;
        let mut right = 0;
        for (number, scene) in (1..).zip(&SCENES) {
            writeln!(out, "{number}. {}", scene.title)?;
            right += usize::from(self.play(scene, out)?);
            writeln!(out)?;
        }
        writeln!(out, "{right} of {} came out right.", SCENES.len())?;
        Ok(right == SCENES.len())
    }

    fn play(&self, scene: &Scene, out: &mut impl Write) -> Result<bool, DemoError> {
        let before = self.origin.requests();
        let output = Command::new("curl").args(self.arguments(scene)).output().map_err(DemoError::NoCurl)?;
        let reached = self.origin.requests() - before;
        let seen = if reached > 0 { self.origin.last() } else { None };
        let (right, meaning) = self.judge(&scene.expected, &output, reached, seen.as_deref());
        writeln!(out, "   curl      {}", answer(&output))?;
        match &seen {
            None => writeln!(out, "   origin    saw nothing")?,
            Some(head) => {
                for (line, text) in head.lines().enumerate() {
                    writeln!(out, "   {:9} {text}", if line == 0 { "origin" } else { "" })?;
                }
            }
        }
        writeln!(out, "   {}     {meaning}", if right { "right" } else { "WRONG" })?;
        Ok(right)
    }

    /// Whether what came of a scene is what had to, and what that means.
    fn judge(&self, expected: &Expected, output: &Output, reached: usize, seen: Option<&str>) -> (bool, &'static str) {
        let nothing = !output.status.success() && output.stdout.is_empty() && reached == 0;
        match expected {
            Expected::Served => {
                let told = seen.is_some_and(tells_the_visitor);
                (output.status.success() && reached == 1 && told, "served, with the visitor's true address")
            }
            Expected::TurnedAway(how) => (nothing, how),
            Expected::Dropped if self.gateway.has_kernel_filter(LISTENER) => {
                let unanswered = output.status.code() == Some(CURL_TIMED_OUT);
                (nothing && unanswered, "the kernel drops its packets: to a stranger, nothing listens here")
            }
            Expected::Dropped => (nothing, "the connection is closed before a byte of TLS is read"),
        }
    }

    /// Shows how to repeat each scene by hand, and waits for Ctrl-C.
    ///
    /// # Errors
    /// When the output cannot be written, or the signal not be received.
    pub fn stay(&self, out: &mut impl Write) -> Result<(), DemoError> {
        writeln!(out, "\nThe gateway stays up until Ctrl-C. To repeat each by hand:\n")?;
        for (number, scene) in (1..).zip(&SCENES) {
            let line: Vec<String> = self.arguments(scene).iter().map(|argument| quoted(argument)).collect();
            writeln!(out, "# {number}. {}\ncurl {}\n", scene.title, line.join(" "))?;
        }
        let folder = self.folder.path();
        writeln!(out, "metrics        http://{}/metrics", self.gateway.admin_address())?;
        writeln!(out, "access log     {}", folder.join("access.log").display())?;
        writeln!(out, "configuration  {}", folder.join("pullgate.yaml").display())?;
        out.flush()?;
        self.gateway.handle().block_on(tokio::signal::ctrl_c())?;
        Ok(())
    }

    /// Stops everything and removes the folder.
    pub fn end(self) {
        self.gateway.stop();
        self.origin.stop();
    }

    fn arguments(&self, scene: &Scene) -> Vec<String> {
        let port = self.listener.port();
        let path = |path: &Path| path.display().to_string();
        // Who is not answered need not wait for long.
        let patience = if matches!(scene.expected, Expected::Dropped) { "3" } else { "10" };
        let mut arguments: Vec<String> =
            ["--silent", "--show-error", "--include", "--max-time", patience, "--interface", scene.from]
                .map(str::to_owned)
                .into();
        arguments.extend(["--resolve".into(), format!("{}:{port}:{}", scene.hostname, self.listener.ip())]);
        arguments.extend(["--cacert".into(), path(&self.pki.server_ca)]);
        if scene.certificate {
            arguments.extend(["--cert".into(), path(&self.pki.client), "--key".into(), path(&self.pki.client_key)]);
        }
        for header in scene.headers {
            arguments.extend(["--header".into(), (*header).to_owned()]);
        }
        arguments.push(format!("https://{}:{port}/hello", scene.hostname));
        arguments
    }
}

fn tells_the_visitor(head: &str) -> bool {
    head.contains(&format!("\nx-forwarded-for: {VISITOR}")) && !head.contains(FORGED)
}

/// The first line of an answer, or of curl's complaint.
fn answer(output: &Output) -> String {
    let text = if output.stdout.is_empty() { &output.stderr } else { &output.stdout };
    String::from_utf8_lossy(text).lines().next().unwrap_or("nothing").trim().to_owned()
}

fn quoted(argument: &str) -> String {
    if argument.contains(' ') { format!("'{argument}'") } else { argument.to_owned() }
}

fn configuration(origin: SocketAddr) -> String {
    format!(
        r#"version: 1
runtime: {{workers: 1, state_dir: state}}
admin: {{address: "127.0.0.1:0"}}
log: {{level: error, access: access.log}}
cloudflare:
  ranges:
    source: builtin
    extra: [127.0.1.0/24]          # loopback addresses that play Cloudflare
listeners:
  - name: https
    address: 127.0.0.1:0
hosts:
  - name: shop
    hostnames: [{HOSTNAME}]
    certificate: {{chain: shop.pem, key: shop.key}}
    origin_pull: {{mode: require, trust: [zone-ca.pem]}}
    routes:
      - {{name: all, upstream: shop}}
upstreams:
  shop: {{servers: ["{origin}"]}}
"#
    )
}
