//! A peer is a process that is measured, and the ground is the folder that the peers of one run live in.

use pullgate_tests::pki::{Authority, Identity};
use socket2::{Domain, Socket, Type};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The hostname that every peer serves.
pub const HOSTNAME: &str = "shop.example.com";

/// What the edge puts into `X-Edge-Secret`, and every peer compares.
pub const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// The paths that the origin answers with a body of that many bytes; any other is answered by a greeting.
pub const BODIES: [(&str, usize); 3] = [("/1k", 1 << 10), ("/100k", 100 << 10), ("/10m", 10 << 20)];

/// The folder of one run: PKI, configurations, logs.
pub struct Ground {
    folder: tempfile::TempDir,
    /// Issued the server certificate.
    pub server_ca: Authority,
    /// The certificate that requests are sent with.
    pub edge: Identity,
}

impl Ground {
    /// Mints the PKI.
    #[must_use]
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("pullgate-bench-").tempdir().unwrap();
        let (server_ca, zone_ca) = (Authority::new("server CA"), Authority::new("zone CA"));
        let server = server_ca.leaf().dns(&[HOSTNAME]).usage_server().issue();
        server.write(folder.path(), "server");
        // HAProxy reads chain and key from one file.
        std::fs::write(folder.path().join("server-both.pem"), server.chain_pem() + &server.key_pem()).unwrap();
        std::fs::write(folder.path().join("edge-secret"), SECRET).unwrap();
        for (path, bytes) in BODIES {
            std::fs::write(folder.path().join(path.trim_start_matches('/')), vec![b'x'; bytes]).unwrap();
        }
        zone_ca.write(folder.path(), "zone-ca");
        let edge = zone_ca.leaf().common_name("edge").issue();
        Self { folder, server_ca, edge }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Default for Ground {
    fn default() -> Self {
        Self::new()
    }
}

/// What a peer looks at before a request passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checks {
    /// The client's certificate, its address, and the secret of the edge.
    All,
    /// The client's certificate alone.
    Certificate,
}

/// A process that is measured; it ends with the value.
pub struct Peer {
    /// Its name in the table.
    pub name: &'static str,
    /// What it looks at.
    pub checks: Checks,
    /// Where it takes TLS connections.
    pub address: SocketAddr,
    process: Child,
    log: PathBuf,
}

impl Peer {
    pub(crate) fn start(
        name: &'static str,
        checks: Checks,
        address: SocketAddr,
        log: PathBuf,
        mut command: Command,
    ) -> Self {
        let process = command.stdin(Stdio::null()).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while !answers(address) {
            assert!(Instant::now() < deadline, "{name} does not listen on {address}");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { name, checks, address, process, log }
    }

    /// CPU time of the process and its children so far, user and system, in microseconds (`/proc/PID/stat`, 100 ticks a second).
    #[must_use]
    pub fn cpu(&self) -> u64 {
        let id = self.process.id().to_string();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        children.split_whitespace().chain([id.as_str()]).map(cpu_of).sum()
    }

    /// What the access log holds so far.
    #[must_use]
    pub fn logged(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Resident memory of the process and its children, in bytes.
    #[must_use]
    pub fn memory(&self) -> u64 {
        let id = self.process.id().to_string();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        children.split_whitespace().chain([id.as_str()]).map(resident_of).sum()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // nginx's master ends its worker on SIGTERM; a kill would leave it.
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
    }
}

/// Whether something listens. The question comes from an admitted address: the kernel drops those of strangers.
fn answers(address: SocketAddr) -> bool {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 1, 1], 0)).into()).unwrap();
    socket.connect_timeout(&address.into(), Duration::from_millis(200)).is_ok()
}

fn cpu_of(id: &str) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    ticks * 10_000
}

fn resident_of(id: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}
