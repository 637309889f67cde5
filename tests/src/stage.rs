//! The stage: a gateway in this process with everything around it, so that one scenario fits in twenty lines.

use crate::client::{H1, H2, Refused, Sessions, Tls, Versions};
use crate::origin::Origin;
use crate::pki::{Authority, Identity};
use pullgate::{Gateway, LoadError, System, load};
use pullgate_cloudflare::Client;
use serde_json::Value;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// An address that counts as Cloudflare on the stage.
pub const CLOUDFLARE: &str = "127.0.1.1";
/// An address that does not.
pub const STRANGER: &str = "127.0.2.1";
/// The visitor that requests speak for.
pub const VISITOR: &str = "203.0.113.7";

/// Longest wait for a value that is bound to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// Pause between two looks at a value.
const LOOK: Duration = Duration::from_millis(5);

/// The configuration of a stage, section by section; `ORIGIN` stands for the origin's address.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// Sections before the listeners.
    pub head: String,
    /// Section `listeners`.
    pub listeners: String,
    /// Section `hosts`.
    pub hosts: String,
    /// Section `upstreams`.
    pub upstreams: String,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            head: HEAD.into(),
            listeners: LISTENERS.into(),
            hosts: HOSTS.into(),
            upstreams: "upstreams:\n  shop: {servers: [ORIGIN]}\n".into(),
        }
    }
}

const HEAD: &str = "version: 1
runtime: {workers: 2, drain: 5s, state_dir: state}
admin: {address: '127.0.0.1:0'}
log: {level: warn, access: access.log}
cloudflare: {ranges: {source: builtin, extra: [127.0.1.0/24]}}
";

/// Without the kernel filter: what these scenarios are about is what the gateway does by itself, and behind a filter a stranger would not
/// get as far as that.
const LISTENERS: &str = "listeners:
  - {name: https, kernel_filter: off, address: '127.0.0.1:0'}
  - {name: http, kernel_filter: off, address: '127.0.0.1:0', protocol: http}
";

/// Hosts: `shop` and `twin` trust the zone's CA, `blog` another one, `open` asks for nothing, `watched` observes.
const HOSTS: &str = "hosts:
  - name: shop
    hostnames: [shop.example.com, '*.shop.example.com']
    certificate: {chain: server.pem, key: server.key}
    origin_pull: {mode: require, trust: [zone-ca.pem]}
    routes: [{name: all, upstream: shop}]
  - name: twin
    hostnames: [twin.example.com]
    certificate: {chain: server.pem, key: server.key}
    origin_pull: {mode: require, trust: [zone-ca.pem]}
    routes: [{name: all, upstream: shop}]
  - name: blog
    hostnames: [blog.example.com]
    certificate: {chain: server.pem, key: server.key}
    origin_pull: {mode: require, trust: [other-ca.pem]}
    routes: [{name: all, upstream: shop}]
  - name: open
    hostnames: [open.example.com]
    certificate: {chain: server.pem, key: server.key}
    origin_pull: {mode: off}
    routes: [{name: all, upstream: shop}]
  - name: watched
    hostnames: [watched.example.com]
    certificate: {chain: server.pem, key: server.key}
    origin_pull: {mode: observe, trust: [zone-ca.pem]}
    routes: [{name: all, upstream: shop}]
";

/// Everything that a scenario needs before the gateway starts.
pub struct Props {
    /// The folder of the configuration and of every file that it names.
    pub folder: TempDir,
    /// Issued the gateway's server certificate.
    pub server_ca: Authority,
    /// The zone's own origin-pull CA.
    pub zone_ca: Authority,
    /// Another account's.
    pub other_ca: Authority,
}

impl Props {
    /// Mints the PKI into a fresh folder.
    #[must_use]
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("pullgate-test-").tempdir().unwrap();
        let (server_ca, zone_ca) = (Authority::new("server CA"), Authority::new("zone CA"));
        let other_ca = Authority::new("other CA");
        let names = [
            "shop.example.com",
            "*.shop.example.com",
            "twin.example.com",
            "blog.example.com",
            "open.example.com",
            "watched.example.com",
        ];
        server_ca.leaf().dns(&names).usage_server().issue().write(folder.path(), "server");
        zone_ca.write(folder.path(), "zone-ca");
        other_ca.write(folder.path(), "other-ca");
        Self { folder, server_ca, zone_ca, other_ca }
    }

    /// The folder's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes the configuration; its path.
    pub fn write(&self, recipe: &Recipe, origin: &str) -> PathBuf {
        let Recipe { head, listeners, hosts, upstreams } = recipe;
        let text = format!("{head}{listeners}{hosts}{upstreams}").replace("ORIGIN", &format!("'{origin}'"));
        let file = self.path().join("pullgate.yaml");
        std::fs::write(&file, text).unwrap();
        file
    }

    /// A certificate as the zone's edge presents it: no extended key usage, as in Cloudflare's recipe.
    #[must_use]
    pub fn edge(&self) -> Identity {
        self.zone_ca.leaf().common_name("edge").issue()
    }
}

impl Default for Props {
    fn default() -> Self {
        Self::new()
    }
}

/// A running gateway and what it stands between.
pub struct Stage {
    /// Folder and PKI.
    pub props: Props,
    /// The origin behind the gateway.
    pub origin: Origin,
    /// The gateway.
    pub gateway: Gateway,
    /// The certificate that requests are sent with, unless a scenario brings its own.
    pub edge: Identity,
}

impl Stage {
    /// The usual hosts and listeners.
    pub async fn new() -> Self {
        Self::with(Recipe::default()).await
    }

    /// A configuration of the scenario's own.
    pub async fn with(recipe: Recipe) -> Self {
        Self::set(Props::new(), recipe).await
    }

    /// A configuration and files of the scenario's own.
    pub async fn set(props: Props, recipe: Recipe) -> Self {
        let origin = Origin::start().await;
        let file = props.write(&recipe, &origin.address().to_string());
        let gateway = start(&file).await.unwrap_or_else(|error| panic!("{error}"));
        let edge = props.edge();
        Self { props, origin, gateway, edge }
    }

    /// The same with a client of the scenario's own for the ranges.
    pub async fn fetching(props: Props, recipe: Recipe, client: Client) -> Self {
        let origin = Origin::start().await;
        let file = props.write(&recipe, &origin.address().to_string());
        let gateway = start_fetching(&file, Some(client)).await.unwrap_or_else(|error| panic!("{error}"));
        let edge = props.edge();
        Self { props, origin, gateway, edge }
    }

    /// Puts another configuration in force, as SIGHUP does, with whatever its files hold by now: its generation, or why not.
    pub fn reload(&self, recipe: &Recipe) -> Result<u64, String> {
        let file = self.props.write(recipe, &self.origin.address().to_string());
        self.gateway.succession().reload(&file).map(|reloaded| reloaded.generation).map_err(|error| error.to_string())
    }

    /// Where a listener listens.
    #[must_use]
    pub fn at(&self, listener: &str) -> SocketAddr {
        self.gateway.address(listener).unwrap()
    }

    /// A client that trusts the gateway and presents the zone's certificate.
    #[must_use]
    pub fn tls(&self) -> Tls {
        Tls::trusting(&self.props.server_ca).presenting(&self.edge)
    }

    /// The same without a certificate.
    #[must_use]
    pub fn bare_tls(&self) -> Tls {
        Tls::trusting(&self.props.server_ca)
    }

    /// An HTTP/1.1 connection from Cloudflare with the zone's certificate.
    pub async fn h1(&self, sni: &str) -> H1 {
        self.h1_as(sni, self.tls()).await.unwrap()
    }

    /// An HTTP/1.1 connection from Cloudflare with a client of the scenario's own.
    pub async fn h1_as(&self, sni: &str, tls: Tls) -> Result<H1, Refused> {
        H1::tls(Some(cloudflare()), self.at("https"), sni, tls.alpn(&["http/1.1"]).client_config()).await
    }

    /// An HTTP/2 connection from Cloudflare with the zone's certificate.
    pub async fn h2(&self, sni: &str) -> H2 {
        self.h2_as(sni, self.tls()).await.unwrap()
    }

    /// An HTTP/2 connection from Cloudflare with a client of the scenario's own.
    pub async fn h2_as(&self, sni: &str, tls: Tls) -> Result<H2, Refused> {
        H2::tls(Some(cloudflare()), self.at("https"), sni, tls.alpn(&["h2"]).client_config()).await
    }

    /// A plain HTTP/1.1 connection from Cloudflare.
    pub async fn plain(&self) -> H1 {
        H1::plain(Some(cloudflare()), self.at("http")).await.unwrap()
    }

    /// The value of one series, named as `/metrics` writes it; 0 where it is not there yet.
    #[must_use]
    pub fn metric(&self, series: &str) -> f64 {
        let text = self.gateway.metrics().render().unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    /// Waits until a series has a value.
    pub async fn metric_becomes(&self, series: &str, value: f64) {
        let seen = eventually(|| (self.metric(series) - value).abs() < 1e-9).await;
        assert!(
            seen,
            "{series} is {} and not {value}:\n{}",
            self.metric(series),
            self.gateway.metrics().render().unwrap()
        );
    }

    /// How often an origin-pull verification for a host ended with a verdict, over whatever else is told apart.
    #[must_use]
    pub fn verdicts(&self, host: &str, verdict: &str) -> f64 {
        let (host, verdict) = (format!(r#"host="{host}""#), format!(r#"verdict="{verdict}""#));
        let text = self.gateway.metrics().render().unwrap();
        let series = text.lines().filter_map(|line| line.strip_prefix("pullgate_origin_pull_total{")?.split_once("} "));
        let counted = series.filter(|(labels, _)| {
            let has = |wanted: &str| labels.split(',').any(|label| label == wanted);
            has(&host) && has(&verdict)
        });
        counted.map(|(_, value)| value.parse::<f64>().unwrap()).sum()
    }

    /// Waits until a verdict was counted this often for a host.
    pub async fn verdicts_become(&self, host: &str, verdict: &str, count: f64) {
        let seen = eventually(|| (self.verdicts(host, verdict) - count).abs() < 1e-9).await;
        let now = self.verdicts(host, verdict);
        assert!(seen, "{host} {verdict}: {now} and not {count}:\n{}", self.gateway.metrics().render().unwrap());
    }

    /// The lines of the access log so far.
    #[must_use]
    pub fn access_log(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.props.path().join("access.log")).unwrap_or_default();
        let whole = text.rsplit_once('\n').map_or("", |(lines, _)| lines);
        whole.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
    }

    /// Waits for `count` lines of the access log.
    pub async fn access_lines(&self, count: usize) -> Vec<Value> {
        assert!(eventually(|| self.access_log().len() >= count).await, "{:#?}", self.access_log());
        self.access_log()
    }

    /// Asserts that nothing reached the origin: no request, no connection.
    pub fn assert_nothing_reached_the_origin(&self) {
        assert!(self.origin.ledger().is_empty(), "{:#?}", self.origin.ledger());
        assert_eq!(self.origin.connections(), 0);
    }
}

/// Puts a gateway on the stage whose configuration was changed in a way that no file can ask for.
impl Stage {
    /// The usual recipe, changed by `change`.
    pub async fn altered(recipe: Recipe, change: impl FnOnce(&mut pullgate_config::Config) + Send + 'static) -> Self {
        let (props, origin) = (Props::new(), Origin::start().await);
        let file = props.write(&recipe, &origin.address().to_string());
        let started = tokio::task::spawn_blocking(move || {
            let mut config = load(&file).unwrap_or_else(|error| panic!("{error}")).config;
            change(&mut config);
            Gateway::start(config, &System::beside(&file)).unwrap()
        });
        let (gateway, edge) = (started.await.unwrap(), props.edge());
        Self { props, origin, gateway, edge }
    }
}

/// Loads and starts a gateway beside the test's own runtime.
pub async fn start(file: &Path) -> Result<Gateway, String> {
    start_fetching(file, None).await
}

/// The same with a client of the scenario's own for the ranges.
pub async fn start_fetching(file: &Path, client: Option<Client>) -> Result<Gateway, String> {
    let file = file.to_owned();
    let started = tokio::task::spawn_blocking(move || {
        let loaded = load(&file).map_err(|error| error.to_string())?;
        let system = System::beside(&file);
        let system = client.map_or(system.clone(), |client| system.fetching_with(client));
        Gateway::start(loaded.config, &system)
            .map_err(|error| format!("{error}: {:?}", std::error::Error::source(&error)))
    });
    started.await.unwrap()
}

/// The problems of a configuration that must not load.
pub fn refusal(props: &Props, recipe: &Recipe) -> String {
    let file = props.write(recipe, "127.0.0.1:9");
    match load(&file) {
        Ok(_) => panic!("the configuration loaded"),
        Err(error @ LoadError::Problems(_)) => error.to_string(),
        Err(other) => panic!("{other}"),
    }
}

/// Looks at a condition until it holds, for as long as patience lasts.
pub async fn eventually(mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if condition() {
            return true;
        }
        tokio::time::sleep(LOOK).await;
    }
    condition()
}

/// The address that plays Cloudflare.
#[must_use]
pub fn cloudflare() -> IpAddr {
    CLOUDFLARE.parse().unwrap()
}

/// The address that plays a stranger.
#[must_use]
pub fn stranger() -> IpAddr {
    STRANGER.parse().unwrap()
}

/// A GET with the visitor's address, as Cloudflare sends it.
#[must_use]
pub fn visit(authority: &str, path: &str) -> http::Request<http_body_util::Full<bytes::Bytes>> {
    let mut request = crate::client::get(authority, path);
    request.headers_mut().insert("cf-connecting-ip", http::HeaderValue::from_static(VISITOR));
    request
}

/// The same with one header more.
pub fn visit_with(
    authority: &str,
    path: &str,
    (name, value): (&'static str, &str),
) -> http::Request<http_body_util::Full<bytes::Bytes>> {
    let mut request = visit(authority, path);
    request.headers_mut().insert(name, http::HeaderValue::from_str(value).unwrap());
    request
}

/// Both protocol versions, one by one.
pub const VERSIONS: [Versions; 2] = [Versions::Tls12, Versions::Tls13];

/// Session stores worth trying in resumption scenarios.
pub const RESUMING: [Sessions; 2] = [Sessions::PerName, Sessions::AcrossNames];
