//! The peers' configurations: Pullgate, nginx and HAProxy in front of the same origin, doing the same mutual TLS and the same checks, each on
//! one worker, each with its access log in a file; and Pingora without Pullgate, which does the same but for the checks.

use crate::peers::{BODIES, Checks, Ground, HOSTNAME, Peer, SECRET};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};

/// nginx as the origin: a small fixed answer or a file, kept connections, no log.
#[must_use]
pub fn origin(ground: &Ground) -> Peer {
    let address = free_address();
    let files: String = BODIES
        .iter()
        .map(|(path, _)| format!("location = {path} {{ root {}; }} ", ground.folder().display()))
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
    let folder = ground.folder().display();
    let http = format!(
        "access_log {folder}/nginx-access.log combined;
         set_real_ip_from 127.0.1.0/24; real_ip_header CF-Connecting-IP;
         keepalive_requests 1000000; keepalive_timeout 900s;
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
    let folder = ground.folder().display();
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
    Peer::start(name, Checks::All, address, ground.path(&format!("{name}-access.log")), command)
}

/// HAProxy as the gateway. Its log goes to standard output, which is a file here. By strict limits it would refuse to start
/// without two descriptors for each connection that it may get; those to the origin are few.
#[must_use]
pub fn haproxy_gateway(ground: &Ground, origin: SocketAddr) -> Peer {
    let address = free_address();
    let folder = ground.folder().display();
    let text = format!(
        "global
  nbthread 1
  maxconn 12000
  no strict-limits
  log stdout format raw local0
defaults
  mode http
  log global
  option httplog
  timeout connect 5s
  timeout client 900s
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
    Peer::start("haproxy", Checks::All, address, log, command)
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
    Peer::start("pullgate", Checks::All, address, ground.path("pullgate-access.log"), command)
}

/// The reverse proxy of `benches/pingora`: Pingora's own listener and no policies.
#[must_use]
pub fn bare_pingora(ground: &Ground, binary: &Path, origin: SocketAddr) -> Peer {
    let address = free_address();
    let mut command = Command::new(binary);
    command.args([address.to_string(), origin.to_string()]).arg(ground.folder()).stdout(Stdio::null());
    Peer::start("bare-pingora", Checks::Certificate, address, ground.path("pingora-access.log"), command)
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
