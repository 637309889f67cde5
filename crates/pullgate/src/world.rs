//! The outside of a configuration: this process's clock, environment, files and resolver.

use ipnet::IpNet;
use pullgate_config::{CertificateCheck, CertificateFault, Config, Problem, Problems, Severity, World};
use pullgate_door::check_certificate;
use pullgate_policy::origin_pull::Leaf;
use rustls_pki_types::UnixTime;
use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

/// The system that this process runs on; relative paths count from `folder`.
#[derive(Debug, Clone)]
pub struct System {
    folder: PathBuf,
}

impl System {
    /// The system as a configuration file sees it: relative paths count from the file's folder.
    #[must_use]
    pub fn beside(file: &Path) -> Self {
        Self { folder: file.parent().map(Path::to_path_buf).unwrap_or_default() }
    }

    /// A path of the configuration, from where this process stands.
    #[must_use]
    pub fn path(&self, written: &Path) -> PathBuf {
        self.folder.join(written)
    }
}

impl World for System {
    fn now(&self) -> UnixTime {
        UnixTime::now()
    }

    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(self.path(path))
    }

    fn resolve(&self, server: &str) -> io::Result<SocketAddr> {
        server
            .to_socket_addrs()?
            .next()
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
    }

    fn check_certificate(&self, chain: &[u8], key: &[u8]) -> Result<CertificateCheck, CertificateFault> {
        let leaf = check_certificate(chain, key).map_err(|fault| match fault {
            pullgate_door::CertificateFault::Chain(why) => CertificateFault::Chain(why),
            pullgate_door::CertificateFault::Key(why) => CertificateFault::Key(why),
            pullgate_door::CertificateFault::Mismatch => CertificateFault::Mismatch,
        })?;
        let described = Leaf::describe(&leaf).ok_or_else(|| CertificateFault::Chain("the leaf is not X.509".into()))?;
        Ok(CertificateCheck { not_after: described.not_after })
    }

    fn ranges(&self, list: &[u8]) -> Result<Vec<IpNet>, String> {
        pullgate_cloudflare::ranges::parse(list).map_err(|error| error.to_string())
    }
}

/// A configuration that did not load.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file itself cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// Its path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// What it says is wrong: every problem, with its place.
    #[error("{0}")]
    Problems(Problems),
}

/// A configuration file that can be used.
#[derive(Debug)]
pub struct Loaded {
    /// What it says.
    pub config: Config,
    /// What deserves a look.
    pub warnings: Warnings,
}

/// What deserves a look in a configuration that can be used; shown with the lines that it is about.
#[derive(Debug)]
pub struct Warnings {
    file: String,
    text: String,
    list: Vec<Problem>,
}

impl Warnings {
    /// The warnings, in the order of their places.
    #[must_use]
    pub fn list(&self) -> &[Problem] {
        &self.list
    }
}

impl fmt::Display for Warnings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.list
            .iter()
            .try_for_each(|warning| writeln!(f, "{}", warning.show(Severity::Warning, &self.file, &self.text)))
    }
}

/// Reads and checks a configuration file and every file that it names.
///
/// # Errors
/// All problems at once.
pub fn load(file: &Path) -> Result<Loaded, LoadError> {
    let text =
        std::fs::read_to_string(file).map_err(|source| LoadError::Unreadable { path: file.to_owned(), source })?;
    let name = file.display().to_string();
    let loaded = pullgate_config::load(&name, &text, &System::beside(file)).map_err(LoadError::Problems)?;
    Ok(Loaded { config: loaded.config, warnings: Warnings { file: name, text, list: loaded.warnings } })
}
