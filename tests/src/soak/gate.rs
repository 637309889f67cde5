//! The gateway under test: the real binary with a folder, a configuration that changes, and an admin listener to ask.

use super::process::{descriptors, resident};
use crate::client::{H1, Tls, get};
use crate::ports::free_ports;
use crate::stage::{Props, cloudflare};
use rustls::ClientConfig;
use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The hostname that clients ask for.
pub(super) const HOSTNAME: &str = "shop.example.com";

/// Longest wait for something that the gateway does.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a good client needs.
#[derive(Clone)]
pub struct Target {
    /// Where the gateway takes TLS.
    pub address: SocketAddr,
    /// HTTP/1.1 with the zone's certificate, every handshake a full one.
    pub one: Arc<ClientConfig>,
    /// HTTP/2 likewise.
    pub two: Arc<ClientConfig>,
    /// Without a certificate.
    pub bare: Arc<ClientConfig>,
}

/// What differs between the parts of the soak.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The listener's `kernel_filter`.
    pub kernel_filter: &'static str,
    /// The listener's limits.
    pub limits: &'static str,
}

impl Default for Setting {
    /// No filter in the kernel, so that what reaches the process can be counted; the limits of the product.
    fn default() -> Self {
        Self { kernel_filter: "off", limits: "" }
    }
}

/// A running gateway. It is killed when the value is dropped.
pub struct Gate {
    props: Props,
    binary: PathBuf,
    setting: Setting,
    backend: SocketAddr,
    /// Of the listener that stays, of the one that comes and goes, of the admin listener.
    ports: [u16; 3],
    process: Child,
    target: Target,
    /// How often the configuration was written.
    edition: u64,
}

impl Gate {
    /// Starts it in front of an origin, and waits until it is ready.
    pub async fn start(binary: &Path, backend: SocketAddr, setting: Setting) -> Self {
        let props = Props::new();
        let ports = free_ports();
        let tls = Tls::trusting(&props.server_ca).presenting(&props.edge());
        let target = Target {
            address: SocketAddr::from(([127, 0, 0, 1], ports[0])),
            one: tls.clone().alpn(&["http/1.1"]).client_config(),
            two: tls.alpn(&["h2"]).client_config(),
            bare: Tls::trusting(&props.server_ca).client_config(),
        };
        write(&props, &configuration(ports, backend, setting, 1));
        let process = spawn(binary, &["run"], &props);
        let binary = binary.to_owned();
        let gate = Self { props, binary, setting, backend, ports, process, target, edition: 1 };
        gate.becomes("pullgate_config_generation", 1.0).await;
        gate
    }

    /// What a good client needs.
    #[must_use]
    pub fn target(&self) -> Target {
        self.target.clone()
    }

    /// The process that serves now.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Its resident memory, in bytes.
    #[must_use]
    pub fn resident(&self) -> u64 {
        resident(self.id())
    }

    /// Its open file descriptors.
    #[must_use]
    pub fn descriptors(&self) -> usize {
        descriptors(self.id())
    }

    /// The file of the access log.
    #[must_use]
    pub fn access_log(&self) -> PathBuf {
        self.props.path().join("access.log")
    }

    /// The folder of PKI, configuration and logs.
    #[must_use]
    pub fn props(&self) -> &Props {
        &self.props
    }

    /// What the process said, its last lines.
    #[must_use]
    pub fn said(&self) -> String {
        let text = std::fs::read_to_string(self.props.path().join("said")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// Writes another configuration and waits until `pullgate reload` says that it is in force. Every tenth brings a new server certificate.
    pub async fn reload(&mut self) {
        self.edition += 1;
        if self.edition.is_multiple_of(10) {
            self.props.server_ca.leaf().dns(&[HOSTNAME]).usage_server().issue().write(self.props.path(), "server");
        }
        write(&self.props, &configuration(self.ports, self.backend, self.setting, self.edition));
        let mut reloading = spawn(&self.binary, &["reload"], &self.props);
        let reloading = tokio::task::spawn_blocking(move || reloading.wait().unwrap()).await.unwrap();
        assert!(reloading.success(), "no reload ({reloading}):\n{}", self.said());
    }

    /// Makes the configuration the one of the start again, where it is the other one.
    pub async fn back(&mut self) {
        if self.edition.is_multiple_of(2) {
            self.reload().await;
        }
    }

    /// Puts a fresh process of the same binary in the place of the one that serves, and waits until the old one has drained.
    pub async fn upgrade(&mut self) {
        let next = spawn(&self.binary, &["run", "--take-over"], &self.props);
        let mut before = std::mem::replace(&mut self.process, next);
        let deadline = Instant::now() + PATIENCE;
        while before.try_wait().unwrap().is_none() {
            let failed = self.process.try_wait().unwrap();
            assert!(failed.is_none() && Instant::now() < deadline, "no upgrade ({failed:?}):\n{}", self.said());
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Lets it drain, and waits for its end. Only then is the access log whole.
    pub async fn end(&mut self) {
        self.signal("-TERM");
        let deadline = Instant::now() + PATIENCE;
        while self.process.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "the gateway does not end:\n{}", self.said());
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The sum of the series of a name, over all labels; 0 where there are none.
    pub async fn metric(&self, name: &str) -> Option<f64> {
        let admin = SocketAddr::from(([127, 0, 0, 1], self.ports[2]));
        let text = H1::plain(None, admin).await.ok()?.send(get("admin", "/metrics")).await.ok()?.text();
        let values = text.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let value = if rest.starts_with('{') { rest.rsplit_once("} ")?.1 } else { rest.strip_prefix(' ')? };
            value.parse::<f64>().ok()
        });
        Some(values.sum())
    }

    /// Waits until the sum of a name's series has a value.
    pub async fn becomes(&self, name: &str, value: f64) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let seen = self.metric(name).await;
            if seen == Some(value) {
                return;
            }
            assert!(Instant::now() < deadline, "{name} is {seen:?} and not {value}:\n{}", self.said());
            tokio::time::sleep(LOOK).await;
        }
    }

    fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.id().to_string()]).status().unwrap().success());
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const LOOK: Duration = Duration::from_millis(5);

fn spawn(binary: &Path, arguments: &[&str], props: &Props) -> Child {
    assert!(binary.exists(), "{} is missing: run `make test`, or `cargo build` first", binary.display());
    let said = OpenOptions::new().create(true).append(true).open(props.path().join("said")).unwrap();
    let mut command = Command::new(binary);
    command.args(arguments).arg("--config").arg(props.path().join("pullgate.yaml"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said).spawn().unwrap()
}

/// A file that is there as a whole or not at all.
fn write(props: &Props, text: &str) {
    let (fresh, file) = (props.path().join("pullgate.yaml.new"), props.path().join("pullgate.yaml"));
    std::fs::write(&fresh, text).unwrap();
    std::fs::rename(fresh, file).unwrap();
}

/// Two configurations take turns: every other one has one more range, policy, host and listener.
fn configuration([https, late_https, admin]: [u16; 3], backend: SocketAddr, setting: Setting, edition: u64) -> String {
    let more = edition.is_multiple_of(2);
    let (range, policy) = if more { (", 198.51.100.0/24", ", {kind: workers, zones: []}") } else { ("", "") };
    let host = |name: &str, hostname: &str| {
        format!(
            "  - name: {name}
    hostnames: [{hostname}]
    certificate: {{chain: server.pem, key: server.key}}
    origin_pull: {{mode: require, trust: [zone-ca.pem]}}
    policies: [{{kind: client-networks, allow: [203.0.113.0/24]}}{policy}]
    routes: [{{name: all, upstream: shop}}]
"
        )
    };
    let (late, late_listener) = if more {
        let listener = format!("  - {{name: late, address: '127.0.0.1:{late_https}'}}\n");
        (host("late", "late.example.com"), listener)
    } else {
        Default::default()
    };
    let Setting { kernel_filter, limits } = setting;
    format!(
        "version: 1
runtime: {{drain: 20s, state_dir: state}}
admin: {{address: '127.0.0.1:{admin}'}}
log: {{level: info, access: access.log}}
cloudflare: {{ranges: {{source: builtin, extra: [127.0.1.0/24{range}]}}}}
listeners:
  - {{name: https, address: '127.0.0.1:{https}', kernel_filter: {kernel_filter}, limits: {{{limits}}}}}
{late_listener}hosts:
{}{late}upstreams:
  shop: {{servers: ['{backend}'], timeouts: {{idle: 5s}}}}
",
        host("shop", HOSTNAME)
    )
}

/// An address that plays Cloudflare, another one for each number below 250.
pub(super) fn edge(number: u8) -> std::net::IpAddr {
    debug_assert!(cloudflare().to_string().starts_with("127.0.1."));
    std::net::IpAddr::from([127, 0, 1, 1 + number % 250])
}
