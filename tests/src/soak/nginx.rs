//! nginx, doing the same: the measure for memory.

use super::gate::{HOSTNAME, Target};
use super::process::{children, resident};
use crate::client::connect;
use crate::ports::free_ports;
use crate::stage::{Props, cloudflare};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running nginx with one worker; it ends with the value.
pub(super) struct Nginx {
    process: Child,
    address: SocketAddr,
}

/// Its version; none where it is not installed.
pub(super) fn version() -> Option<String> {
    let output = Command::new("nginx").arg("-v").output().ok()?;
    Some(String::from_utf8_lossy(&output.stderr).trim().trim_start_matches("nginx version: ").to_owned())
}

impl Nginx {
    /// Starts it with the server certificate and the zone's CA of `props`.
    pub(super) async fn start(props: &Props, origin: SocketAddr) -> Self {
        let [port] = free_ports();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let folder = props.path().display();
        let text = format!(
            "worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx-error.log; worker_rlimit_nofile 20000;
events {{ worker_connections 19000; }}
http {{
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
  access_log {folder}/nginx-access.log combined; keepalive_timeout 900s; keepalive_requests 1000000;
  upstream shop {{ server {origin}; keepalive 64; }}
  server {{
    listen {address} ssl http2 backlog=4096; server_name {HOSTNAME};
    ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.key; ssl_session_tickets off;
    ssl_client_certificate {folder}/zone-ca.pem; ssl_verify_client on;
    location / {{ proxy_pass http://shop; proxy_http_version 1.1; proxy_set_header Connection ''; proxy_set_header Host $host; }}
  }}
}}
"
        );
        let file = props.path().join("nginx.conf");
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new("nginx");
        command.arg("-c").arg(file).arg("-e").arg(props.path().join("nginx-error.log"));
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while connect(Some(cloudflare()), address).await.is_err() {
            assert!(Instant::now() < deadline, "nginx does not listen on {address}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Self { process, address }
    }

    /// The same clients for it.
    pub(super) fn target(&self, target: &Target) -> Target {
        Target { address: self.address, ..target.clone() }
    }

    /// Resident memory of master and worker, in bytes.
    pub(super) fn resident(&self) -> u64 {
        let id = self.process.id();
        children(id).into_iter().chain([id]).map(resident).sum()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // The master ends its worker on SIGTERM; a kill would leave it.
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
    }
}
