//! The authorised: programs of every kind, on three implementations of TLS, with every kind of key, none of them refused, in new
//! and in resumed sessions.

use pullgate_tests::client::{self, H1, H2, Output, Sessions, Versions, curl, gnutls_cli, openssl_s_client};
use pullgate_tests::pki::{Authority, Files, Identity, KeyKind};
use pullgate_tests::stage::{Props, Recipe, Stage, VERSIONS, VISITOR, cloudflare, visit};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Programs that run at the same time.
const AT_ONCE: usize = 6;
const HOST: &str = "shop.example.com";
const BODY: &str = "hello from the origin";

/// A certificate that the host accepts.
struct Guest {
    name: String,
    identity: Identity,
    files: Files,
}

/// Every kind of key, under an ECDSA root without extended key usage, under an RSA root with one, and under an intermediate.
fn guests(props: &Props, rsa: &Authority) -> Vec<Guest> {
    let middle = props.zone_ca.intermediate("middle");
    let mut guests = Vec::new();
    for kind in KeyKind::CLASSICAL {
        let chains = [
            ("bare", props.zone_ca.leaf().key(kind).issue()),
            ("usage", rsa.leaf().key(kind).usage_client().issue()),
            ("chain", middle.leaf().key(kind).issue()),
        ];
        for (form, identity) in chains {
            let name = format!("{kind:?}-{form}").to_lowercase();
            let files = identity.write(props.path(), &name);
            guests.push(Guest { name, identity, files });
        }
    }
    guests
}

/// What every client needs to know.
struct Scene {
    stage: Stage,
    guests: Arc<[Guest]>,
    server_ca: PathBuf,
}

impl Scene {
    async fn set() -> Self {
        let props = Props::new();
        let rsa = Authority::with_key("zone CA of RSA", KeyKind::Rsa2048);
        rsa.write(props.path(), "rsa-ca");
        let guests = guests(&props, &rsa).into();
        let server_ca = props.server_ca.write(props.path(), "server-ca");
        let Recipe { head, hosts, .. } = Recipe::default();
        let hosts = hosts.replace("trust: [zone-ca.pem]", "trust: [zone-ca.pem, rsa-ca.pem]");
        // Not every program can choose the address that it comes from.
        let head = head.replace("[127.0.1.0/24]", "[127.0.0.0/24, 127.0.1.0/24]");
        let stage = Stage::set(props, Recipe { head, hosts, ..Recipe::default() }).await;
        Self { stage, guests, server_ca }
    }

    fn call(&self, client: &'static str, versions: Versions) -> Call {
        Call {
            client,
            versions,
            guests: Arc::clone(&self.guests),
            port: self.stage.at("https").port(),
            server_ca: self.server_ca.to_str().unwrap().to_owned(),
        }
    }
}

/// One client with one version of TLS, who comes as every guest in turn.
#[derive(Clone)]
struct Call {
    client: &'static str,
    versions: Versions,
    guests: Arc<[Guest]>,
    port: u16,
    server_ca: String,
}

/// A request that has to have come through.
#[derive(Debug, Clone)]
struct Expected {
    path: String,
    versions: Versions,
    /// The version of HTTP, as the log has it.
    http: &'static str,
    resumed: bool,
}

impl Call {
    fn expect(&self, guest: &Guest, http: &'static str, turn: &str) -> Expected {
        let path = format!("/{}/{:?}/{}/{turn}", self.client, self.versions, guest.name);
        Expected { path, versions: self.versions, http, resumed: turn == "resumed" }
    }

    fn request(&self, guest: &Guest, turn: &str) -> (Expected, String) {
        let expected = self.expect(guest, "1.1", turn);
        let path = &expected.path;
        let head = format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\nCF-Connecting-IP: {VISITOR}\r\n");
        (expected, format!("{head}Connection: close\r\n\r\n"))
    }

    fn at(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn paths(guest: &Guest) -> [&str; 2] {
        [guest.files.chain.to_str().unwrap(), guest.files.key.to_str().unwrap()]
    }

    async fn openssl(self, guest: usize) -> Vec<Expected> {
        let guest = &self.guests[guest];
        let version = if self.versions == Versions::Tls12 { "-tls1_2" } else { "-tls1_3" };
        let session = guest.files.chain.with_extension(format!("{version}.session"));
        let (at, [chain, key], session) = (self.at(), Self::paths(guest), session.to_str().unwrap());
        let usual =
            ["-connect", &at, "-bind", "127.0.1.1", "-servername", HOST, "-CAfile", &self.server_ca, "-ign_eof"];
        let own = ["-verify_return_error", "-cert", chain, "-cert_chain", chain, "-key", key, version];
        let mut done = Vec::new();
        for (turn, with) in [("new", ["-sess_out", session]), ("resumed", ["-sess_in", session])] {
            let (expected, request) = self.request(guest, turn);
            let output = openssl_s_client(&[&usual[..], &own, &with].concat(), request.as_bytes()).await;
            answered(&output, &expected);
            assert_eq!(output.stdout.contains("\nReused, "), expected.resumed, "{expected:?}");
            done.push(expected);
        }
        done
    }

    async fn gnutls(self, guest: usize) -> Vec<Expected> {
        let guest = &self.guests[guest];
        let version = if self.versions == Versions::Tls12 { "+VERS-TLS1.2" } else { "+VERS-TLS1.3" };
        let priority = format!("--priority=NORMAL:-VERS-ALL:{version}");
        let (port, [chain, key]) = (self.port.to_string(), Self::paths(guest));
        let names = ["--sni-hostname", HOST, "--verify-hostname", HOST, "--x509cafile", &self.server_ca];
        let own = ["--x509certfile", chain, "--x509keyfile", key, &priority, "-p", &port, "127.0.0.1"];
        let mut done = Vec::new();
        for (turn, with) in [("new", &[][..]), ("resumed", &["--resume", "--waitresumption"])] {
            let (expected, request) = self.request(guest, turn);
            let output = gnutls_cli(&[with, &names, &own].concat(), request.as_bytes()).await;
            answered(&output, &expected);
            done.push(expected);
        }
        done
    }

    async fn curl(self, guest: usize) -> Vec<Expected> {
        let guest = &self.guests[guest];
        let (version, most) = match self.versions {
            Versions::Tls12 => ("--tlsv1.2", "1.2"),
            _ => ("--tlsv1.3", "1.3"),
        };
        let [chain, key] = Self::paths(guest);
        let (visitor, resolve) = (format!("CF-Connecting-IP: {VISITOR}"), format!("{HOST}:{}:127.0.0.1", self.port));
        let usual = ["--fail", "--interface", "127.0.1.1", "--resolve", &resolve, "--cacert", &self.server_ca];
        let own = ["--cert", chain, "--key", key, version, "--tls-max", most, "--header", &visitor];
        let url = |expected: &Expected| format!("https://{HOST}:{}{}", self.port, expected.path);
        // One process has one session cache; the second connection is new because the first may not be kept.
        let (one, two) = (self.expect(guest, "1.1", "new"), self.expect(guest, "1.1", "resumed"));
        let close = ["--http1.1", "--header", "Connection: close"];
        let output = curl(&[&usual[..], &own, &close, &[&url(&one), &url(&two)]].concat()).await;
        assert_eq!(output.stdout.matches(BODY).count(), 2, "{one:?}: {output:?}");
        let http2 = self.expect(guest, "2", "http2");
        let output = curl(&[&usual[..], &own, &["--http2", &url(&http2)]].concat()).await;
        answered(&output, &http2);
        vec![one, two, http2]
    }

    /// A script gets `port ca version`, and `name chain key` of each guest; it writes a line of JSON for each answer.
    async fn script(self, http: &'static str) -> Vec<Expected> {
        let version = if self.versions == Versions::Tls12 { "TLSv1.2" } else { "TLSv1.3" };
        let stem = format!("/{}/{:?}", self.client, self.versions);
        let port = self.port.to_string();
        let mut args = vec![&port, self.server_ca.as_str(), version, &stem, http, HOST, VISITOR];
        for guest in &*self.guests {
            args.push(&guest.name);
            args.extend(Self::paths(guest));
        }
        let output = match self.client {
            "python" => client::python(PYTHON, &args).await,
            _ => client::node(NODE, &args).await,
        };
        assert!(output.success, "{}: {output:?}", self.client);
        let lines = output.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let answers: BTreeMap<String, Value> =
            lines.map(|line| (line["path"].as_str().unwrap().to_owned(), line)).collect();
        let mut done = Vec::new();
        for (guest, turn) in self.guests.iter().flat_map(|guest| ["new", "resumed"].map(|turn| (guest, turn))) {
            let expected = self.expect(guest, http, turn);
            let answer = &answers[&expected.path];
            assert_eq!(answer["status"], 200, "{expected:?}: {answer}");
            assert_eq!(answer["body"].as_str().unwrap().trim_end(), BODY, "{expected:?}: {answer}");
            assert_eq!(answer["resumed"], expected.resumed, "{expected:?}: {answer}");
            done.push(expected);
        }
        done
    }

    async fn rustls(self, guest: usize, tls: client::Tls) -> Vec<Expected> {
        let guest = &self.guests[guest];
        let tls = tls.presenting(&guest.identity).versions(self.versions).sessions(Sessions::PerName);
        let (from, at) = (Some(cloudflare()), self.at().parse().unwrap());
        let mut done = Vec::new();
        for http in ["1.1", "2"] {
            let config = tls.clone().alpn(&[if http == "2" { "h2" } else { "http/1.1" }]).client_config();
            for turn in ["new", "resumed"] {
                let expected = Self { client: if http == "2" { "rustls-http2" } else { "rustls" }, ..self.clone() }
                    .expect(guest, http, turn);
                let config = Arc::clone(&config);
                let (answer, resumed) = if http == "2" {
                    let client = H2::tls(from, at, HOST, config).await.unwrap();
                    (client.send(visit(HOST, &expected.path)).await, client.handshake().unwrap().resumed)
                } else {
                    let mut client = H1::tls(from, at, HOST, config).await.unwrap();
                    (client.send(visit(HOST, &expected.path)).await, client.handshake().unwrap().resumed)
                };
                let answer = answer.unwrap_or_else(|refused| panic!("{expected:?}: {refused:?}"));
                assert_eq!((answer.status.as_u16(), answer.text().trim_end()), (200, BODY), "{expected:?}");
                assert_eq!(resumed, expected.resumed, "{expected:?}");
                done.push(expected);
            }
        }
        done
    }
}

fn answered(output: &Output, expected: &Expected) {
    assert!(output.success && output.stdout.contains(BODY), "{expected:?}: {output:#?}");
}

const PYTHON: &str = r"
import http.client, json, socket, ssl, sys
port, ca, version, stem, _, host, visitor = sys.argv[1:8]
rest = sys.argv[8:]
only = {'TLSv1.2': ssl.TLSVersion.TLSv1_2, 'TLSv1.3': ssl.TLSVersion.TLSv1_3}[version]
for name, chain, key in zip(rest[0::3], rest[1::3], rest[2::3]):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = context.maximum_version = only
    context.load_verify_locations(ca)
    context.load_cert_chain(chain, key)
    session = None
    for turn in ['new', 'resumed']:
        plain = socket.create_connection(('127.0.0.1', int(port)), 20, ('127.0.1.1', 0))
        tls = context.wrap_socket(plain, server_hostname=host, session=session)
        connection = http.client.HTTPConnection(host)
        connection.sock = tls
        path = f'{stem}/{name}/{turn}'
        connection.request('GET', path, headers={'CF-Connecting-IP': visitor})
        answer = connection.getresponse()
        line = {'path': path, 'status': answer.status, 'body': answer.read().decode(), 'resumed': tls.session_reused}
        print(json.dumps(line))
        session = tls.session
        connection.close()
";

const NODE: &str = r"
const fs = require('fs'), tls = require('tls'), https = require('https'), http2 = require('http2');
const [port, ca, version, stem, http, host, visitor, ...rest] = process.argv.slice(1);
function connected(chain, key, session) {
  return new Promise((resolve, reject) => {
    const socket = tls.connect({
      host: '127.0.0.1', port, localAddress: '127.0.1.1', servername: host, ca: fs.readFileSync(ca), session,
      cert: fs.readFileSync(chain), key: fs.readFileSync(key), minVersion: version, maxVersion: version,
      ALPNProtocols: [http === '2' ? 'h2' : 'http/1.1'],
    });
    socket.on('session', (given) => { socket.given = given; });
    socket.once('secureConnect', () => resolve(socket));
    socket.once('error', reject);
  });
}
function gathered(stream) {
  return new Promise((resolve, reject) => {
    let text = '';
    stream.setEncoding('utf8').on('data', (part) => { text += part; }).on('end', () => resolve(text)).on('error', reject);
  });
}
function one(socket, path) {
  return new Promise((resolve, reject) => {
    const headers = { host, 'cf-connecting-ip': visitor };
    const request = https.request({ createConnection: () => socket, path, headers }, async (answer) => {
      resolve({ status: answer.statusCode, body: await gathered(answer) });
    });
    request.on('error', reject).end();
  });
}
function two(socket, path) {
  return new Promise((resolve, reject) => {
    const session = http2.connect(`https://${host}`, { createConnection: () => socket });
    session.on('error', reject);
    const stream = session.request({ ':path': path, 'cf-connecting-ip': visitor });
    stream.on('error', reject).on('response', async (headers) => {
      const body = await gathered(stream);
      session.close();
      resolve({ status: headers[':status'], body });
    });
    stream.end();
  });
}
(async () => {
  for (let at = 0; at < rest.length; at += 3) {
    const [name, chain, key] = rest.slice(at, at + 3);
    let session;
    for (const turn of ['new', 'resumed']) {
      const socket = await connected(chain, key, session);
      const resumed = socket.isSessionReused(), path = `${stem}/${name}/${turn}`;
      const answer = await (http === '2' ? two : one)(socket, path);
      console.log(JSON.stringify({ path, ...answer, resumed }));
      session = socket.given;
      socket.destroy();
    }
  }
})().catch((error) => { console.error(error); process.exit(1); });
";

/// Everybody comes, at most so many at once.
async fn everybody(scene: &Scene) -> Vec<Expected> {
    let (slots, mut running) = (Arc::new(Semaphore::new(AT_ONCE)), JoinSet::new());
    let mut enter = |coming: std::pin::Pin<Box<dyn Future<Output = Vec<Expected>> + Send>>| {
        let slots = Arc::clone(&slots);
        running.spawn(async move {
            let _slot = slots.acquire_owned().await.unwrap();
            coming.await
        });
    };
    for versions in VERSIONS {
        enter(Box::pin(scene.call("python", versions).script("1.1")));
        enter(Box::pin(scene.call("node", versions).script("1.1")));
        enter(Box::pin(scene.call("node-http2", versions).script("2")));
        for guest in 0..scene.guests.len() {
            enter(Box::pin(scene.call("openssl", versions).openssl(guest)));
            enter(Box::pin(scene.call("gnutls", versions).gnutls(guest)));
            enter(Box::pin(scene.call("curl", versions).curl(guest)));
            enter(Box::pin(scene.call("rustls", versions).rustls(guest, scene.stage.bare_tls())));
        }
    }
    running.join_all().await.into_iter().flatten().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_authorised_client_is_let_in() {
    let scene = Scene::set().await;
    let expected = everybody(&scene).await;
    assert!(expected.len() >= 500, "{}", expected.len());
    let lines = scene.stage.access_lines(expected.len()).await;
    let lines: BTreeMap<&str, &Value> = lines.iter().map(|line| (line["url.path"].as_str().unwrap(), line)).collect();
    let ledger = scene.stage.origin.ledger();
    for Expected { path, versions, http, resumed } in &expected {
        assert_eq!(ledger.iter().filter(|entry| entry.target == *path).count(), 1, "{path}");
        let line = lines[path.as_str()];
        assert_eq!(line["origin_pull.verdict"], "verified", "{line:#}");
        assert_eq!(line["network.protocol.version"], *http, "{line:#}");
        assert_eq!(line["tls.protocol.version"], if *versions == Versions::Tls12 { "1.2" } else { "1.3" }, "{line:#}");
        assert_eq!(line["tls.resumed"], *resumed, "{line:#}");
    }
    assert_eq!(ledger.len(), expected.len());
}
