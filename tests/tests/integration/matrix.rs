//! The generated matrix: every way to be unauthorised, at every pairing of SNI and Host, over every protocol, in new and in
//! resumed sessions. None of it may reach the origin, while the authorised ones among them all do.

use pullgate_tests::client::{H1, H2, Refused, Sessions, Tls, Versions};
use pullgate_tests::legacy::Mint;
use pullgate_tests::pki::{Authority, Identity, KeyKind};
use pullgate_tests::signer::{ProgramKey, chain_from, from_files, key_of};
use pullgate_tests::stage::{Props, Recipe, Stage, VERSIONS, cloudflare, visit};
use rustls::{AlertDescription, ClientConfig};
use rustls_pki_types::CertificateDer;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::task::JoinSet;

/// Attempts that run at the same time.
const AT_ONCE: usize = 12;

/// Where certificates are refused that do not come from the zone.
const GUARDED: &str = "shop.example.com";
/// Where none is asked for.
const OPEN: &str = "open.example.com";
/// Where they are judged and let pass.
const WATCHED: &str = "watched.example.com";
/// Where another account's are demanded.
const BLOG: &str = "blog.example.com";

/// What a client's certificate is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Worth {
    /// The zone's own.
    Zone,
    /// The other account's own.
    Other,
    /// Nobody's, though whoever shows it holds its key, or it shows none.
    Nothing,
    /// TLS itself fails as soon as one is asked for, in observe mode too: it is no certificate to TLS, or its key signs
    /// nothing that counts.
    Broken,
}

struct Visitor {
    name: &'static str,
    worth: Worth,
    tls: Tls,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pairing {
    /// None: the ClientHello has no name, and the default host answers.
    sni: Option<&'static str>,
    host: &'static str,
}

const PAIRINGS: [Pairing; 13] = [
    Pairing { sni: Some(GUARDED), host: GUARDED },
    Pairing { sni: Some("a.shop.example.com"), host: "b.shop.example.com" },
    Pairing { sni: Some("twin.example.com"), host: GUARDED },
    Pairing { sni: None, host: GUARDED },
    Pairing { sni: Some(OPEN), host: GUARDED },
    Pairing { sni: Some(OPEN), host: "a.shop.example.com" },
    Pairing { sni: Some(WATCHED), host: GUARDED },
    Pairing { sni: Some(WATCHED), host: "a.shop.example.com" },
    Pairing { sni: Some(BLOG), host: GUARDED },
    Pairing { sni: Some(GUARDED), host: BLOG },
    Pairing { sni: Some(OPEN), host: BLOG },
    Pairing { sni: Some(WATCHED), host: BLOG },
    Pairing { sni: Some(BLOG), host: BLOG },
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    One,
    Two,
}

#[derive(Debug, Clone, Copy)]
struct Attempt {
    number: usize,
    visitor: usize,
    pairing: Pairing,
    protocol: Protocol,
    versions: Versions,
    /// Whether a session from elsewhere is offered.
    resuming: bool,
}

impl Attempt {
    fn path(self) -> String {
        format!("/attempt/{}", self.number)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Alert,
    Status(u16),
}

/// Whether a handshake for `sni` lets this certificate in.
fn let_in(worth: Worth, sni: Option<&str>) -> bool {
    match sni {
        Some(OPEN) => true,
        Some(WATCHED) => worth != Worth::Broken,
        Some(BLOG) => worth == Worth::Other,
        _ => worth == Worth::Zone,
    }
}

fn expected(worth: Worth, pairing: Pairing) -> End {
    let asked = pairing.sni != Some(OPEN);
    let fitting = if pairing.host == BLOG { Worth::Other } else { Worth::Zone };
    match let_in(worth, pairing.sni) {
        false => End::Alert,
        true if asked && worth == fitting => End::Status(200),
        true => End::Status(421),
    }
}

/// Where a client gets the session that it offers: at the same name if that lets it in, else at one that does.
fn seed(worth: Worth, sni: Option<&'static str>) -> Option<&'static str> {
    if let_in(worth, sni) {
        sni
    } else if let_in(worth, Some(WATCHED)) {
        Some(WATCHED)
    } else {
        Some(OPEN)
    }
}

fn attempts(visitors: usize) -> Vec<Attempt> {
    let mut all = Vec::new();
    for visitor in 0..visitors {
        for pairing in PAIRINGS {
            for protocol in [Protocol::One, Protocol::Two] {
                for versions in VERSIONS {
                    for resuming in [false, true] {
                        all.push(Attempt { number: all.len(), visitor, pairing, protocol, versions, resuming });
                    }
                }
            }
        }
    }
    // The authorised ones come between the others, not after them: a prime that the length is no multiple of visits all.
    const STRIDE: usize = 1009;
    assert_ne!(all.len() % STRIDE, 0);
    (0..all.len()).map(|turn| all[turn * STRIDE % all.len()]).collect()
}

/// The stage and who comes to it.
struct Scene {
    stage: Stage,
    visitors: Arc<[Visitor]>,
}

impl Scene {
    async fn set() -> Self {
        let props = Props::new();
        // MD5 goes with RSA alone.
        let rsa = Authority::with_key("zone CA of RSA", KeyKind::Rsa2048);
        rsa.write(props.path(), "rsa-ca");
        let hosts = Recipe::default()
            .hosts
            .replace("trust: [zone-ca.pem]", "trust: [zone-ca.pem, rsa-ca.pem]")
            .replacen("- name: shop\n", "- name: shop\n    default: true\n", 1);
        // A warning for each of the refused would bury what the test has to say.
        let head = Recipe::default().head.replace("level: warn", "level: error");
        let stage = Stage::set(props, Recipe { head, hosts, ..Recipe::default() }).await;
        let mut visitors = authorised(&stage, &rsa).await;
        visitors.extend(by_rcgen(&stage));
        visitors.extend(by_openssl(&stage, &rsa).await);
        visitors.extend(by_hand(&stage));
        Self { stage, visitors: visitors.into() }
    }
}

fn visitor(stage: &Stage, name: &'static str, worth: Worth, identity: &Identity) -> Visitor {
    Visitor { name, worth, tls: stage.bare_tls().presenting(identity) }
}

/// Each has a counterpart among the unauthorised that differs in one thing.
async fn authorised(stage: &Stage, rsa: &Authority) -> Vec<Visitor> {
    let zone = &stage.props.zone_ca;
    let minted = Mint::digest("sha256").issue(zone, stage.props.path(), "sha256").await;
    let long = Mint::rsa("rsa_keygen_bits:2048").issue(rsa, stage.props.path(), "rsa-2048").await;
    let [minted, long] = [(&minted, from_files(&minted).1), (&long, ProgramKey::of_file(&long.key))]
        .map(|(files, key)| stage.bare_tls().showing(chain_from(&files.chain), key));
    vec![
        visitor(stage, "the zone's own", Worth::Zone, &stage.edge),
        visitor(stage, "for client authentication", Worth::Zone, &zone.leaf().usage_client().issue()),
        visitor(stage, "with its intermediate", Worth::Zone, &zone.intermediate("middle").leaf().issue()),
        visitor(stage, "within the path length", Worth::Zone, &zone.bounded_intermediate("last", 0).leaf().issue()),
        Visitor { name: "a SHA-256 signature", worth: Worth::Zone, tls: minted },
        Visitor { name: "an RSA key of 2048 bits", worth: Worth::Zone, tls: long },
    ]
}

fn by_rcgen(stage: &Stage) -> Vec<Visitor> {
    let Props { zone_ca: zone, other_ca: other, .. } = &stage.props;
    let long = zone.bounded_intermediate("last", 0).intermediate("one more").leaf().issue();
    let stray = zone.confined_intermediate("confined", "example.org").leaf().dns(&["edge.example.com"]).issue();
    let stolen = stage.edge.with_key_of(&Identity::self_signed("thief"));
    let bad = Worth::Nothing;
    vec![
        Visitor { name: "no certificate", worth: bad, tls: stage.bare_tls() },
        visitor(stage, "expired", bad, &zone.leaf().expired().issue()),
        visitor(stage, "not yet valid", bad, &zone.leaf().not_yet_valid().issue()),
        visitor(stage, "for server authentication", bad, &zone.leaf().usage_server().issue()),
        visitor(stage, "may not sign", bad, &zone.leaf().key_usage_without_signature().issue()),
        visitor(stage, "self-signed", bad, &Identity::self_signed("edge")),
        visitor(stage, "a forged issuer", bad, &zone.twin().leaf().issue()),
        visitor(stage, "another account's", Worth::Other, &other.leaf().issue()),
        visitor(
            stage,
            "another account's with its intermediate",
            Worth::Other,
            &other.intermediate("i").leaf().issue(),
        ),
        visitor(stage, "signed by a leaf", bad, &stage.edge.leaf().issue()),
        visitor(stage, "without its intermediate", bad, &zone.intermediate("middle").leaf().issue().alone()),
        visitor(stage, "an expired intermediate", bad, &zone.expired_intermediate("past").leaf().issue()),
        visitor(stage, "a path too long", bad, &long),
        visitor(stage, "outside the name constraint", bad, &stray),
        visitor(stage, "a chain of 100", bad, &stage.edge.padded(100)),
        visitor(stage, "an unknown critical extension", Worth::Broken, &zone.leaf().critical_extension().issue()),
        visitor(stage, "stolen", Worth::Broken, &stolen),
    ]
}

/// What rcgen does not make.
async fn by_openssl(stage: &Stage, rsa: &Authority) -> Vec<Visitor> {
    let folder = stage.props.path();
    let sha1 = Mint::digest("sha1").issue(&stage.props.zone_ca, folder, "sha1").await;
    let md5 = Mint::digest("md5").issue(rsa, folder, "md5").await;
    let short = Mint::rsa("rsa_keygen_bits:1024").issue(rsa, folder, "rsa-1024").await;
    let shown = |name, worth, chain, key| Visitor { name, worth, tls: stage.bare_tls().showing(chain, key) };
    vec![
        shown("a SHA-1 signature", Worth::Nothing, chain_from(&sha1.chain), from_files(&sha1).1),
        shown("an MD5 signature", Worth::Nothing, chain_from(&md5.chain), from_files(&md5).1),
        shown("an RSA key of 1024 bits", Worth::Broken, chain_from(&short.chain), ProgramKey::of_file(&short.key)),
    ]
}

/// What is no certificate at all.
fn by_hand(stage: &Stage) -> Vec<Visitor> {
    let whole = stage.edge.chain().remove(0);
    let cut = CertificateDer::from(whole[..whole.len() / 2].to_vec());
    let noise = CertificateDer::from(vec![0x5a; 600]);
    let shown = |name, worth, chain| Visitor { name, worth, tls: stage.bare_tls().showing(chain, key_of(&stage.edge)) };
    vec![shown("garbage", Worth::Broken, vec![noise]), shown("half a certificate", Worth::Broken, vec![cut])]
}

/// What came of one attempt.
struct Outcome {
    end: Result<End, String>,
    /// Whether its session was one from before; none where the handshake came to nothing.
    resumed: Option<bool>,
}

async fn run(at: SocketAddr, visitors: &[Visitor], attempt: Attempt) -> Outcome {
    let visitor = &visitors[attempt.visitor];
    let alpn = if attempt.protocol == Protocol::One { "http/1.1" } else { "h2" };
    let sessions = if attempt.resuming { Sessions::AcrossNames } else { Sessions::None };
    let tls = visitor.tls.clone().versions(attempt.versions).sessions(sessions).alpn(&[alpn]);
    let named = tls.client_config();
    if attempt.resuming {
        let from = seed(visitor.worth, attempt.pairing.sni);
        let host = from.unwrap_or(GUARDED);
        let seeded = ask(at, attempt.protocol, from, &named, host, "/seed").await.0;
        assert!(matches!(seeded, Ok(End::Status(200))), "{} at {host}: {seeded:?}", visitor.name);
    }
    let Pairing { sni, host } = attempt.pairing;
    let (end, resumed) = ask(at, attempt.protocol, sni, &named, host, &attempt.path()).await;
    Outcome { end, resumed }
}

/// One connection with one request. Without a name the client still expects the certificate of the guarded host.
async fn ask(
    at: SocketAddr,
    protocol: Protocol,
    sni: Option<&str>,
    named: &Arc<ClientConfig>,
    host: &str,
    path: &str,
) -> (Result<End, String>, Option<bool>) {
    let config = match sni {
        Some(_) => Arc::clone(named),
        // A copy shares the sessions.
        None => {
            let mut nameless = ClientConfig::clone(named);
            nameless.enable_sni = false;
            Arc::new(nameless)
        }
    };
    let (from, sni) = (Some(cloudflare()), sni.unwrap_or(GUARDED));
    let (answer, resumed) = match protocol {
        Protocol::One => match H1::tls(from, at, sni, config).await {
            Ok(mut client) => (client.send(visit(host, path)).await, client.handshake().map(|done| done.resumed)),
            Err(refused) => (Err(refused), None),
        },
        Protocol::Two => match H2::tls(from, at, sni, config).await {
            Ok(client) => (client.send(visit(host, path)).await, client.handshake().map(|done| done.resumed)),
            Err(refused) => (Err(refused), None),
        },
    };
    (answer.map(|answer| End::Status(answer.status.as_u16())).or_else(ended), resumed)
}

fn ended(refused: Refused) -> Result<End, String> {
    match refused.alert() {
        // A polite end is no refusal, nor is a connection that just broke.
        Some(AlertDescription::CloseNotify) | None => Err(format!("{refused:?}")),
        Some(_) => Ok(End::Alert),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_unauthorised_request_reaches_the_origin_by_any_way_in() {
    let scene = Scene::set().await;
    let at = scene.stage.at("https");
    let attempts: Arc<[Attempt]> = attempts(scene.visitors.len()).into();
    let next = Arc::new(AtomicUsize::new(0));
    let mut running = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (visitors, attempts, next) = (Arc::clone(&scene.visitors), Arc::clone(&attempts), Arc::clone(&next));
        running.spawn(async move {
            let mut done = Vec::new();
            while let Some(&attempt) = attempts.get(next.fetch_add(1, Ordering::Relaxed)) {
                done.push((attempt, run(at, &visitors, attempt).await));
            }
            done
        });
    }
    let outcomes: Vec<(Attempt, Outcome)> = running.join_all().await.into_iter().flatten().collect();
    assert_eq!(outcomes.len(), attempts.len());
    judge(&scene, &outcomes);
}

fn judge(scene: &Scene, outcomes: &[(Attempt, Outcome)]) {
    let worth = |attempt: &Attempt| scene.visitors[attempt.visitor].worth;
    let (authorised, unauthorised): (Vec<_>, Vec<_>) =
        outcomes.iter().partition(|(attempt, _)| expected(worth(attempt), attempt.pairing) == End::Status(200));
    assert!(unauthorised.len() >= 500, "{}", unauthorised.len());
    assert!(authorised.len() >= 100, "{}", authorised.len());

    let reached: BTreeSet<String> = scene.stage.origin.ledger().into_iter().map(|entry| entry.target).collect();
    let mut wrong = Vec::new();
    for (attempt, outcome) in outcomes {
        let should = expected(worth(attempt), attempt.pairing);
        let arrived = reached.contains(&attempt.path());
        if outcome.end != Ok(should) || arrived != (should == End::Status(200)) {
            let name = scene.visitors[attempt.visitor].name;
            wrong.push(format!("{name}: {attempt:?}: {:?}, at the origin: {arrived}", outcome.end));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), outcomes.len(), wrong.join("\n"));

    // A session opens the host that it is of, and no other.
    let resumed = |(attempt, outcome): &&(Attempt, Outcome)| attempt.resuming && outcome.resumed == Some(true);
    for (attempt, _) in outcomes.iter().filter(resumed) {
        assert_eq!(seed(worth(attempt), attempt.pairing.sni), attempt.pairing.sni, "{attempt:?}");
    }
    // Else the column would be empty.
    for versions in VERSIONS {
        let of_version =
            |some: &[&(Attempt, Outcome)]| some.iter().filter(|one| one.0.versions == versions && resumed(one)).count();
        assert!(of_version(&unauthorised) >= 50, "{versions:?}: {}", of_version(&unauthorised));
        assert!(of_version(&authorised) >= 20, "{versions:?}: {}", of_version(&authorised));
    }
}
