//! The outside of a configuration: this process's clock, environment, files and resolver.

use crate::watch::Files;
use ipnet::IpNet;
use pullgate_cloudflare::{Client, ClientError};
use pullgate_config::{CertificateCheck, CertificateFault, Config, Problem, Problems, Severity, World};
use pullgate_door::CertificateFiles;
use pullgate_policy::origin_pull::Leaf;
use pullgate_policy::ranges::Partner;
use rustls_pki_types::UnixTime;
use std::collections::HashSet;
use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The system that this process runs on; relative paths count from `folder`.
#[derive(Debug, Clone)]
pub struct System {
    folder: PathBuf,
    /// What serves, by its SHA-256; nothing at a start.
    in_force: Option<Arc<HashSet<[u8; 32]>>>,
    /// What fetches ranges, where it is another than the usual one.
    client: Option<Client>,
    /// What was read.
    read: Arc<Mutex<Files>>,
}

impl System {
    /// The system as a configuration file sees it: relative paths count from the file's folder.
    #[must_use]
    pub fn beside(file: &Path) -> Self {
        Self {
            folder: file.parent().map(Path::to_path_buf).unwrap_or_default(),
            in_force: None,
            client: None,
            read: Arc::default(),
        }
    }

    /// The same with a client of one's own for the ranges: other CAs, other limits.
    #[must_use]
    pub fn fetching_with(self, client: Client) -> Self {
        Self { client: Some(client), ..self }
    }

    /// What fetches ranges.
    pub(crate) fn client(&self) -> Result<Client, ClientError> {
        self.client.clone().map_or_else(Client::new, Ok)
    }

    /// A path of the configuration, from where this process stands.
    #[must_use]
    pub fn path(&self, written: &Path) -> PathBuf {
        self.folder.join(written)
    }

    fn note(&self, path: &Path) {
        self.read.lock().unwrap_or_else(PoisonError::into_inner).note(path);
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
        let path = self.path(path);
        self.note(&path);
        std::fs::read(path)
    }

    fn resolve(&self, server: &str) -> io::Result<SocketAddr> {
        server
            .to_socket_addrs()?
            .next()
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
    }

    fn is_new(&self, digest: [u8; 32]) -> bool {
        self.in_force.as_ref().is_some_and(|in_force| !in_force.contains(&digest))
    }

    fn check_certificate(
        &self,
        chain: &[u8],
        key: &[u8],
        ocsp: Option<&[u8]>,
    ) -> Result<CertificateCheck, CertificateFault> {
        use pullgate_door::CertificateFault as Found;
        let checked = CertificateFiles { chain, key, ocsp }.check().map_err(|fault| match fault {
            Found::Chain(why) => CertificateFault::Chain(why),
            Found::Key(why) => CertificateFault::Key(why),
            Found::Mismatch => CertificateFault::Mismatch,
            Found::Ocsp(why) => CertificateFault::Ocsp(why),
        })?;
        let described =
            Leaf::describe(&checked.leaf).ok_or_else(|| CertificateFault::Chain("the leaf is not X.509".into()))?;
        Ok(CertificateCheck { not_after: described.not_after, key: checked.key, ocsp_until: checked.ocsp_until })
    }

    fn ranges(&self, list: &[u8], partners: &[Partner]) -> Result<Vec<IpNet>, String> {
        let published = pullgate_cloudflare::ranges::parse(list, partners).map_err(|error| error.to_string())?;
        Ok(published.networks)
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
    /// What deserves a second thought: it works, and may not be what somebody wants.
    pub advice: Warnings,
    /// The files that it was read from, as they were then.
    pub files: Files,
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

/// Reads and checks a configuration file and every file that it names, to start with it.
///
/// # Errors
/// All problems at once.
pub fn load(file: &Path) -> Result<Loaded, LoadError> {
    load_with(file, &System::beside(file))
}

/// The same to replace a configuration of which this is in force: anything else that has run out is a problem then. With the files that
/// were looked at, whatever came of it.
pub(crate) fn load_again(file: &Path, in_force: Arc<HashSet<[u8; 32]>>) -> (Result<Loaded, LoadError>, Files) {
    let system = System { in_force: Some(in_force), ..System::beside(file) };
    let loaded = load_with(file, &system);
    let files = system.read.lock().unwrap_or_else(PoisonError::into_inner).clone();
    (loaded, files)
}

fn load_with(file: &Path, system: &System) -> Result<Loaded, LoadError> {
    system.note(file);
    let text = text_of(file)?;
    let name = file.display().to_string();
    let loaded = pullgate_config::load(&name, &text, system).map_err(LoadError::Problems)?;
    let files = system.read.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let list = pullgate_config::advice(&text, &loaded.config);
    let advice = Warnings { file: name.clone(), text: text.clone(), list };
    Ok(Loaded { config: loaded.config, warnings: Warnings { file: name, text, list: loaded.warnings }, advice, files })
}

/// The `state_dir` of a configuration file, which may have other mistakes.
pub(crate) fn state_dir(file: &Path) -> Result<PathBuf, LoadError> {
    let system = System::beside(file);
    let written = pullgate_config::state_dir(&file.display().to_string(), &text_of(file)?, &system);
    Ok(system.path(&written.map_err(LoadError::Problems)?))
}

pub(crate) fn text_of(file: &Path) -> Result<String, LoadError> {
    std::fs::read_to_string(file).map_err(|source| LoadError::Unreadable { path: file.to_owned(), source })
}
