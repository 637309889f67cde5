//! The bypass suite's command line. Exit codes: 0 nothing got through, 1 something did, 2 the result is not believed, or bad usage.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line reports where its user looks")]

use anyhow::{Context, ensure};
use clap::{Parser, ValueEnum};
use http::{HeaderName, HeaderValue};
use pullgate_tests::bypass::{self, Column, Http, Report, Site, Target, Transport, Verdict};
use pullgate_tests::client::Servers;
use pullgate_tests::pki::{Credentials, LoadedAuthority};
use rustls::RootCertStore;
use rustls_pki_types::{CertificateDer, DnsName, pem::PemObject};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Tries to reach a host that demands a client certificate without one, in every way that has worked somewhere.
///
/// Only aim it at a server that is yours.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
struct Arguments {
    /// Where the server takes TLS
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    target: SocketAddr,
    /// A hostname that demands a client certificate
    #[arg(long, value_name = "NAME", value_parser = hostname)]
    guarded: String,
    /// A hostname on the same server that demands none
    #[arg(long, value_name = "NAME", value_parser = hostname)]
    open: String,
    /// A certificate that the guarded host takes
    #[arg(long, value_name = "FILE")]
    cert: PathBuf,
    /// Its key
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    #[command(flatten)]
    servers: ServersArguments,
    /// A hostname on the same server that demands a certificate of another authority
    #[arg(long, value_name = "NAME", value_parser = hostname, requires = "other_cert", requires = "other_key")]
    other_host: Option<String>,
    /// A certificate that the other host takes and the guarded one does not
    #[arg(long, value_name = "FILE", requires = "other_host")]
    other_cert: Option<PathBuf>,
    /// Its key
    #[arg(long, value_name = "FILE", requires = "other_host")]
    other_key: Option<PathBuf>,
    /// A hostname under a wildcard that demands the same as the guarded one
    #[arg(long, value_name = "NAME", value_parser = hostname)]
    wildcard: Option<String>,
    /// The authority that the guarded host trusts, to issue certificates with one fault each
    #[arg(long, value_name = "FILE", requires = "ca_key")]
    ca: Option<PathBuf>,
    /// Its key
    #[arg(long, value_name = "FILE", requires = "ca")]
    ca_key: Option<PathBuf>,
    /// Where the server takes plain HTTP
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    plain: Option<SocketAddr>,
    /// The local address to connect from
    #[arg(long, value_name = "ADDRESS")]
    from: Option<IpAddr>,
    /// A field for every request; may be repeated
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = field)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// A text in the guarded host's answer (and the wildcard's) that is in no other; without it, any 2xx or 3xx counts
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    marker: Option<String>,
    /// The path to ask for: one that the guarded host answers with 2xx or 3xx
    #[arg(long, default_value = "/", value_parser = path)]
    path: String,
    /// The TLS versions to try
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Tls::V12, Tls::V13])]
    tls: Vec<Tls>,
    /// The HTTP versions to try
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [HttpVersion::V1, HttpVersion::V2])]
    http: Vec<HttpVersion>,
    /// How to report
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// What the controls know the server by. The attacks believe any server.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct ServersArguments {
    /// The authority that issued the server's certificates
    #[arg(long, value_name = "FILE")]
    server_ca: Option<PathBuf>,
    /// Do not check the server's certificates
    #[arg(long)]
    insecure: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Tls {
    #[value(name = "1.2")]
    V12,
    #[value(name = "1.3")]
    V13,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum HttpVersion {
    #[value(name = "1.1")]
    V1,
    #[value(name = "2")]
    V2,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

const THROUGH: u8 = 1;
const NOT_BELIEVED: u8 = 2;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(report) => {
            show(&report, arguments.format);
            match report.verdict() {
                Verdict::Tight => ExitCode::SUCCESS,
                Verdict::Leaking => ExitCode::from(THROUGH),
                Verdict::NotBelieved => ExitCode::from(NOT_BELIEVED),
            }
        }
        Err(error) => {
            eprintln!("origin-pull-bypass: {error:#}");
            ExitCode::from(NOT_BELIEVED)
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<Report> {
    let target = target(arguments)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(bypass::run(&target)))
}

fn show(report: &Report, format: Format) {
    match format {
        Format::Text => println!("{report}"),
        Format::Json => println!("{:#}", report.json()),
    }
}

fn target(arguments: &Arguments) -> anyhow::Result<Target> {
    let credentials = credentials(("--cert", &arguments.cert), ("--key", &arguments.key))?;
    Ok(Target {
        address: arguments.target,
        plain: arguments.plain,
        from: arguments.from,
        servers: servers(&arguments.servers)?,
        guarded: Site { name: arguments.guarded.clone(), credentials },
        open: arguments.open.clone(),
        other: other(arguments)?,
        wildcard: arguments.wildcard.clone(),
        authority: authority(arguments)?,
        path: arguments.path.clone(),
        headers: arguments.headers.clone(),
        marker: arguments.marker.clone(),
        columns: columns(&arguments.tls, &arguments.http),
    })
}

fn servers(arguments: &ServersArguments) -> anyhow::Result<Servers> {
    let Some(file) = &arguments.server_ca else {
        return Ok(Servers::Any);
    };
    let text = read("--server-ca", file)?;
    let problem = || format!("--server-ca {}: no authority in PEM", file.display());
    let roots = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>().with_context(problem)?;
    ensure!(!roots.is_empty(), problem());
    for root in &roots {
        RootCertStore::empty().add(root.clone()).with_context(problem)?;
    }
    Ok(Servers::Of(roots))
}

fn other(arguments: &Arguments) -> anyhow::Result<Option<Site>> {
    let (Some(name), Some(cert), Some(key)) = (&arguments.other_host, &arguments.other_cert, &arguments.other_key)
    else {
        return Ok(None);
    };
    let credentials = credentials(("--other-cert", cert), ("--other-key", key))?;
    Ok(Some(Site { name: name.clone(), credentials }))
}

fn authority(arguments: &Arguments) -> anyhow::Result<Option<LoadedAuthority>> {
    let (Some(file), Some(key_file)) = (&arguments.ca, &arguments.ca_key) else {
        return Ok(None);
    };
    let (certificate, key) = (read("--ca", file)?, read("--ca-key", key_file)?);
    let [certificate, key] = [&certificate, &key].map(|text| String::from_utf8_lossy(text));
    let loaded = LoadedAuthority::from_pem(&certificate, &key);
    loaded
        .map(Some)
        .with_context(|| format!("--ca {} and --ca-key {} are no authority in PEM", file.display(), key_file.display()))
}

fn credentials(chain: (&str, &Path), key: (&str, &Path)) -> anyhow::Result<Credentials> {
    let problem = || format!("{} {} and {} {}", chain.0, chain.1.display(), key.0, key.1.display());
    Credentials::from_pem(&read(chain.0, chain.1)?, &read(key.0, key.1)?).with_context(problem)
}

fn read(argument: &str, file: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("{argument} {}", file.display()))
}

fn columns(tls: &[Tls], http: &[HttpVersion]) -> Vec<Column> {
    let transports = tls.iter().map(|version| match version {
        Tls::V12 => Transport::Tls12,
        Tls::V13 => Transport::Tls13,
    });
    let versions = |transport| {
        http.iter().map(move |version| Column {
            transport,
            http: if *version == HttpVersion::V1 { Http::One } else { Http::Two },
        })
    };
    transports.flat_map(versions).collect()
}

fn address(text: &str) -> anyhow::Result<SocketAddr> {
    text.to_socket_addrs()?.next().context("no address")
}

fn hostname(text: &str) -> anyhow::Result<String> {
    DnsName::try_from(text).context("not a hostname")?;
    Ok(text.to_owned())
}

fn field(text: &str) -> anyhow::Result<(HeaderName, HeaderValue)> {
    let (name, value) = text.split_once(':').context("no colon")?;
    Ok((name.trim().parse()?, value.trim().parse()?))
}

fn path(text: &str) -> anyhow::Result<String> {
    let plain = text.starts_with('/') && !text.contains(['?', '#']) && text.parse::<http::Uri>().is_ok();
    ensure!(plain, "a path begins with / and has neither ? nor #");
    Ok(text.to_owned())
}
