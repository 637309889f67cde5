//! `pullgate explain` on the command line.

use crate::commands::refused;
use crate::{ConfigFile, Format};
use anyhow::{Context, bail};
use pullgate::{ExplainError, Explanation, LogLine, Question, Url, explain};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, UnixTime};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

/// A request, in options or as a line of the access log, or both: options count before the line.
#[derive(clap::Args)]
pub(crate) struct Explain {
    /// What is asked for: https://shop.example.com/path
    #[arg(required_unless_present = "log_line")]
    url: Option<Url>,
    #[command(flatten)]
    config: ConfigFile,
    /// The address that connects: one of Cloudflare's, as a rule
    #[arg(long, value_name = "ADDRESS", required_unless_present = "log_line")]
    peer: Option<IpAddr>,
    /// The balancer that announces that address in a PROXY header
    #[arg(long, value_name = "ADDRESS")]
    balancer: Option<IpAddr>,
    /// The listener, in place of the first that speaks as the URL says
    #[arg(long, value_name = "NAME")]
    listener: Option<String>,
    /// The name in the ClientHello, in place of the URL's
    #[arg(long, value_name = "NAME", conflicts_with = "no_sni")]
    sni: Option<String>,
    /// A ClientHello without a name
    #[arg(long)]
    no_sni: bool,
    /// The client's certificate, PEM, with its intermediates after it
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// The method
    #[arg(short = 'X', long, value_name = "METHOD")]
    method: Option<http::Method>,
    /// A field of the head; as often as there are fields
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// A line of the access log
    #[arg(long, value_name = "JSON")]
    log_line: Option<LogLine>,
    /// How to report
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

impl Explain {
    pub(crate) fn explain(self) -> anyhow::Result<ExitCode> {
        let question = self.question()?;
        let explanation = match explain(&self.config.config, &question) {
            Ok(explanation) => explanation,
            Err(ExplainError::Load(error)) => return Ok(refused(&error)),
            Err(error) => return Err(error.into()),
        };
        self.report(&explanation);
        Ok(ExitCode::SUCCESS)
    }

    fn question(&self) -> anyhow::Result<Question> {
        let now = UnixTime::now();
        let line = self.log_line.as_ref().map(|line| line.question(now)).transpose()?;
        let mut question = match (line, self.url.clone(), self.peer) {
            (Some(question), None, _) => question,
            (Some(question), Some(url), _) => Question { sni: url.sni(), url, ..question },
            (None, Some(url), Some(peer)) => Question::new(peer, url, now),
            (None, _, _) => bail!("which request? Give a URL and --peer, or --log-line"),
        };
        question.peer = self.peer.unwrap_or(question.peer);
        question.balancer = self.balancer.or(question.balancer);
        question.listener = self.listener.clone().or(question.listener);
        question.method = self.method.clone().unwrap_or(question.method);
        question.sni = self.sni.clone().or(question.sni).filter(|_| !self.no_sni);
        let fields: Vec<Vec<u8>> = self.headers.iter().map(|header| header.as_bytes().to_vec()).collect();
        question.set(&fields);
        if let Some(file) = &self.certificate {
            let unreadable = || format!("{} cannot be read as PEM certificates", file.display());
            let chain = CertificateDer::pem_file_iter(file).with_context(unreadable)?;
            question.chain = chain.collect::<Result<_, _>>().with_context(unreadable)?;
        }
        self.compare_certificate(&question)?;
        Ok(question)
    }

    /// A line has the certificate's fingerprint alone.
    fn compare_certificate(&self, question: &Question) -> anyhow::Result<()> {
        let Some(logged) = self.log_line.as_ref().and_then(|line| line.certificate.as_deref()) else { return Ok(()) };
        match question.chain.first().map(|leaf| format!("{:x}", Sha256::digest(leaf))) {
            None => {
                bail!("the line's client showed a certificate with the SHA-256 {logged}: give it with --certificate")
            }
            Some(given) if !given.eq_ignore_ascii_case(logged) => {
                bail!("the certificate given has the SHA-256 {given}, the line's client showed {logged}")
            }
            Some(_) => Ok(()),
        }
    }

    fn report(&self, explanation: &Explanation) {
        match (self.format, &self.log_line) {
            (Format::Json, _) => sayln!("{}", json!(explanation)),
            (Format::Text, None) => say!("{explanation}"),
            (Format::Text, Some(line)) => {
                let reason = line.reason.as_ref().map(|reason| format!(", reason {reason}")).unwrap_or_default();
                say!("{explanation}");
                sayln!("the line says: {}{reason}", line.decision);
            }
        }
    }
}
