//! A reverse proxy on Pingora's own listener and nothing else: `bare-pingora ADDRESS ORIGIN FOLDER`. In the folder are server.pem,
//! server.key and zone-ca.pem; pingora-access.log is made there.

mod access_log;
mod proxy;

use access_log::AccessLog;
use pingora::listeners::tls::TlsSettings;
use pingora::proxy::http_proxy_service;
use pingora::server::Server;
use pingora::server::configuration::ServerConf;
use proxy::Bare;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::WebPkiClientVerifier;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;

/// What Pullgate allocates with.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, origin, folder] = arguments.as_slice() else {
        return Err("usage: bare-pingora ADDRESS ORIGIN FOLDER".into());
    };
    // The first provider that a process installs counts. Pingora would install ring, which knows no post-quantum key exchange.
    rustls::crypto::aws_lc_rs::default_provider().install_default().map_err(|_| "another provider is installed")?;
    let folder = Path::new(folder);
    let bare = Bare { origin: origin.parse()?, log: AccessLog::create(&folder.join("pingora-access.log"))? };
    let mut server = Server::new_with_opt_and_conf(None, settings());
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, bare);
    service.add_tls_with_settings(address, None, tls(folder)?);
    server.add_service(service);
    server.run_forever()
}

/// One thread, which needs nobody to steal from, and an end without the five minutes of grace.
fn settings() -> ServerConf {
    ServerConf {
        threads: 1,
        work_stealing: false,
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(1),
        ..ServerConf::default()
    }
}

/// The stock listener's TLS: one certificate, one CA for the clients of every hostname, HTTP/2 before HTTP/1.1.
fn tls(folder: &Path) -> Result<TlsSettings, Box<dyn Error>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(folder.join("zone-ca.pem"))?)?;
    let path = |name: &str| folder.join(name).display().to_string();
    let mut settings = TlsSettings::intermediate(&path("server.pem"), &path("server.key"))?;
    settings.set_client_cert_verifier(WebPkiClientVerifier::builder(Arc::new(roots)).build()?);
    settings.enable_h2();
    Ok(settings)
}
