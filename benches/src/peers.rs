//! The peers: Pullgate, nginx and HAProxy in front of the same origin, doing the same mutual TLS and the same checks, each on one
//! worker, each with its access log in a file.

use pullgate_tests::pki::{Authority, Identity};
use socket2::{Domain, Socket, Type};
use std::net::{SocketAddr, TcpListener};
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

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
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

/// A process that is measured; it ends with the value.
pub struct Peer {
    /// Its name in the table.
    pub name: &'static str,
    /// Where it takes TLS connections.
    pub address: SocketAddr,
    process: Child,
    log: PathBuf,
}

impl Peer {
    fn start(name: &'static str, address: SocketAddr, log: PathBuf, mut command: Command) -> Self {
        let process = command.stdin(Stdio::null()).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while !answers(address) {
            assert!(Instant::now() < deadline, "{name} does not listen on {address}");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { name, address, process, log }
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

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// nginx as the origin: a small fixed answer or a file, kept connections, no log.
#[must_use]
pub fn origin(ground: &Ground) -> Peer {
    let address = free_address();
    let files: String = BODIES
        .iter()
        .map(|(path, _)| format!("location = {path} {{ root {}; }} ", ground.folder.path().display()))
        .collect();
    let http = format!(
        "access_log off; sendfile on; keepalive_requests 1000000;
         server {{ listen {address}; {files} location / {{ default_type text/plain; return 200 'hello from the origin'; }} }}"
    );
    nginx(ground, "origin", address, &http)
}

/// nginx as the gateway, as careful copies of the usual snippets have it.
#[must_use]
pub fn nginx_gateway(ground: &Ground, origin: SocketAddr) -> Peer {
    let address = free_address();
    let folder = ground.folder.path().display();
    let http = format!(
        "access_log {folder}/nginx-access.log combined;
         set_real_ip_from 127.0.1.0/24; real_ip_header CF-Connecting-IP;
         keepalive_requests 1000000;
         upstream shop {{ server {origin}; keepalive 64; keepalive_requests 1000000; }}
         server {{
           listen {address} ssl http2; server_name {HOSTNAME}; http2_max_requests 1000000;
           ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.key;
           ssl_protocols TLSv1.2 TLSv1.3; ssl_session_tickets off;
           ssl_client_certificate {folder}/zone-ca.pem; ssl_verify_client on;
           if ($http_x_edge_secret != {SECRET}) {{ return 403; }}
           allow 127.0.0.0/8; allow 203.0.113.0/24; deny all;
           location / {{ proxy_pass http://shop; proxy_http_version 1.1; proxy_set_header Connection ''; proxy_set_header Host $host;
             proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Edge-Secret '';
             proxy_max_temp_file_size 0; }}
         }}"
    );
    nginx(ground, "nginx", address, &http)
}

fn nginx(ground: &Ground, name: &'static str, address: SocketAddr, http: &str) -> Peer {
    let folder = ground.folder.path().display();
    let text = format!(
        "user root; worker_processes 1; daemon off; pid {folder}/{name}.pid; error_log {folder}/{name}-error.log;
         events {{ worker_connections 16384; }} http {{ client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
         uwsgi_temp_path {folder}; scgi_temp_path {folder}; {http} }}"
    );
    let file = ground.write(&format!("{name}.conf"), &text);
    let mut command = Command::new("nginx");
    command
        .arg("-c")
        .arg(file)
        .arg("-e")
        .arg(ground.path(&format!("{name}-error.log")))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Peer::start(name, address, ground.path(&format!("{name}-access.log")), command)
}

/// HAProxy as the gateway. Its log goes to standard output, which is a file here.
#[must_use]
pub fn haproxy_gateway(ground: &Ground, origin: SocketAddr) -> Peer {
    let address = free_address();
    let folder = ground.folder.path().display();
    let text = format!(
        "global
  nbthread 1
  maxconn 8192
  log stdout format raw local0
defaults
  mode http
  log global
  option httplog
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend shop
  bind {address} ssl crt {folder}/server-both.pem ca-file {folder}/zone-ca.pem verify required alpn h2,http/1.1 no-tls-tickets ssl-min-ver TLSv1.2
  acl edge src 127.0.1.0/24
  acl secret req.hdr(x-edge-secret) -m str {SECRET}
  http-request deny unless edge secret
  http-request del-header x-edge-secret
  http-request set-header X-Forwarded-For %[req.hdr(cf-connecting-ip)]
  http-request set-header X-Forwarded-Proto https
  default_backend shop
backend shop
  http-reuse always
  server origin {origin}
"
    );
    let file = ground.write("haproxy.cfg", &text);
    let log = ground.path("haproxy-access.log");
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-f").arg(file).stdout(std::fs::File::create(&log).unwrap()).stderr(Stdio::null());
    Peer::start("haproxy", address, log, command)
}

/// Pullgate from a release build, with three policies at work.
#[must_use]
pub fn pullgate(ground: &Ground, binary: &Path, origin: SocketAddr) -> Peer {
    let (address, admin) = (free_address(), free_address());
    let text = format!(
        "version: 1
runtime: {{workers: 1, state_dir: state}}
admin: {{address: '{admin}'}}
log: {{level: error, access: pullgate-access.log}}
cloudflare: {{ranges: {{source: builtin, extra: [127.0.1.0/24]}}}}
listeners:
  - {{name: https, address: '{address}'}}
hosts:
  - name: shop
    hostnames: [{HOSTNAME}]
    certificate: {{chain: server.pem, key: server.key}}
    origin_pull: {{mode: require, trust: [zone-ca.pem]}}
    policies:
      - {{kind: client-networks, allow: [203.0.113.0/24]}}
      - {{kind: workers, zones: []}}
      - {{kind: edge-secret, header: X-Edge-Secret, values: [{{file: edge-secret}}]}}
    routes: [{{name: all, upstream: shop}}]
upstreams:
  shop: {{servers: ['{origin}']}}
"
    );
    let file = ground.write("pullgate.yaml", &text);
    let mut command = Command::new(binary);
    command.args(["run", "--config"]).arg(file).stdout(Stdio::null());
    Peer::start("pullgate", address, ground.path("pullgate-access.log"), command)
}
