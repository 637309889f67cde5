//! Tables for routes, and the law that no application reads another route than the permitted one.

use super::*;
use crate::testing::cases;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

fn route(path: &str, methods: Option<&[&str]>) -> Route {
    Route {
        name: path.into(),
        path: path.parse().unwrap(),
        protocol: None,
        methods: methods.map(|list| list.iter().map(|name| name.parse().unwrap()).collect()),
        action: RouteAction::Upstream { index: 0, strip_prefix: false },
        policies: vec![],
    }
}

fn ask(routes: &[Route], method: &str, target: &str) -> Result<String, Reason> {
    let target = Target::parse(target.as_bytes()).unwrap();
    let sought = Sought { target: &target, method: &method.parse().unwrap(), protocol: RouteProtocol::Https };
    find(routes, &sought).map(|index| routes[index].name.to_string())
}

#[test]
fn the_most_specific_path_wins() {
    let routes = [
        route("/", None),
        route("/api", Some(&["GET"])),
        route("/api/", Some(&["POST"])),
        route("/api/v2", None),
        route("=/api/v2/status", None),
    ];
    let table = [
        ("GET", "/", Ok("/")),
        ("GET", "/apix", Ok("/")),
        ("GET", "/api", Ok("/api")),
        ("GET", "/api/x?y", Ok("/api")),
        ("POST", "/api/x", Ok("/api/")),
        ("PUT", "/api/x", Err(Reason::MethodUnlisted)),
        ("PUT", "/api/v2/x", Ok("/api/v2")),
        ("GET", "/api/v2/status", Ok("=/api/v2/status")),
        ("GET", "/api/v2/status/", Ok("/api/v2")),
        ("GET", "/x/../api", Err(Reason::TargetAmbiguous)),
        ("GET", "/%61pi", Err(Reason::TargetAmbiguous)),
        ("GET", "/api/a%2Fb", Ok("/api")),
        ("GET", "/x//y;z=1/%20", Ok("/")),
    ];
    for (method, target, expected) in table {
        assert_eq!(ask(&routes, method, target), expected.map(str::to_owned), "{method} {target}");
    }
    assert_eq!(ask(&[route("/a", None)], "GET", "/b"), Err(Reason::RouteUnknown));
}

#[test]
fn patterns() {
    for bad in ["", "api", "=api", "/a b", "/a/../b", "/%61", "/a?b", "//a", "/a;b"] {
        assert!(bad.parse::<PathPattern>().is_err(), "{bad}");
    }
    assert_eq!("/.well-known/".parse(), Ok(PathPattern::Prefix("/.well-known".into())));
}

/// What one application or another does with a path before it looks where the path leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pass {
    /// `%2e` becomes `.`.
    Decode,
    /// `\` becomes `/`.
    Slash,
    /// `;parameters` go, up to the next slash.
    Cut,
    /// `//` becomes `/`.
    Merge,
    /// `.` and `..` go, as RFC 3986 section 5.2.4 says: an empty segment counts as one.
    Climb,
}

const PASSES: [Pass; 5] = [Pass::Decode, Pass::Slash, Pass::Cut, Pass::Merge, Pass::Climb];

impl Pass {
    fn over(self, path: &[u8]) -> Vec<u8> {
        match self {
            Self::Decode => percent_encoding::percent_decode(path).collect(),
            Self::Slash => path.iter().map(|byte| if *byte == b'\\' { b'/' } else { *byte }).collect(),
            Self::Cut => {
                let bare = |segment: &[u8]| segment.split(|byte| *byte == b';').next().unwrap().to_vec();
                path.split(|byte| *byte == b'/').map(bare).collect::<Vec<_>>().join(&b'/')
            }
            Self::Merge => {
                let mut merged = path.to_vec();
                merged.dedup_by(|next, byte| (*next, *byte) == (b'/', b'/'));
                merged
            }
            Self::Climb => climbed(path),
        }
    }
}

fn climbed(path: &[u8]) -> Vec<u8> {
    let mut segments: Vec<&[u8]> = Vec::new();
    let mut rest = path.split(|byte| *byte == b'/').skip(1).peekable();
    while let Some(segment) = rest.next() {
        match segment {
            b"." | b".." => {
                if segment == b".." {
                    segments.pop();
                }
                if rest.peek().is_none() {
                    segments.push(b"");
                }
            }
            name => segments.push(name),
        }
    }
    segments.iter().flat_map(|segment| [b"/", *segment].concat()).collect()
}

/// Every order of every choice of passes.
fn applications() -> Vec<Vec<Pass>> {
    let mut all = vec![vec![]];
    let mut at = 0;
    while at < all.len() {
        for pass in PASSES {
            if !all[at].contains(&pass) {
                all.push([&*all[at], &[pass]].concat());
            }
        }
        at += 1;
    }
    all
}

/// Routes that a path may be led to: below each other, alone in the depth, and exact ones.
fn guarded() -> Vec<Route> {
    ["/", "/a", "/a/b", "/a/b/c", "/b", "=/c", "=/c/", "/d/e", "=/f", "=/g/"].map(|path| route(path, None)).into()
}

/// Fails with the application that reads another route out of the target than the one it was permitted for.
fn assert_read_alike(routes: &[Route], raw: &[u8], applications: &[Vec<Pass>]) {
    let sought = Sought { target: &Target::parse(raw).unwrap(), method: &Method::GET, protocol: RouteProtocol::Https };
    let Ok(permitted) = find(routes, &sought) else { return };
    for application in applications {
        let path = application.iter().fold(raw.to_vec(), |path, pass| pass.over(&path));
        let read = find_path(routes, &sought, &path);
        let (raw, path) = (String::from_utf8_lossy(raw), String::from_utf8_lossy(&path));
        assert_eq!(read, Ok(permitted), "{raw} after {application:?} is {path}");
    }
}

/// Targets that mean the same route as they stand and after all passes, and another one after some.
#[test]
fn a_target_is_refused_where_any_application_reads_another_route() {
    let applications = applications();
    assert_eq!(applications.len(), 326);
    let crafted = [
        "/b/../a//../b",
        "/b/../a/..;/b",
        "/b/../a/%2e%2e/b",
        "/b/../a/..\\../b/x",
        "/b/x\\../../../a/..\\../b",
        "/d;%2fx/e",
        "/d;\\x/e",
        "/d%3bx%5cx/e",
        "/d;x%2fx/e",
        "/f;%2f",
        "/f;%5c",
        "/g/.",
        "/g/;x",
        "/g/%2e",
    ];
    for raw in crafted {
        assert_read_alike(&guarded(), raw.as_bytes(), &applications);
    }
}

/// Where every route is for all paths there is nothing to lead astray.
#[test]
fn a_host_of_one_path_takes_every_spelling() {
    let routes = [route("/", Some(&["GET"])), route("/", Some(&["POST"]))];
    for target in ["/a/../b", "/%2e%2e/a", "//a", "/a;b%2fc", "/\\"] {
        assert_eq!(ask(&routes, "GET", target), Ok("/".into()), "{target}");
        assert_eq!(ask(&routes, "PUT", target), Err(Reason::MethodUnlisted), "{target}");
    }
}

/// Spellings that cannot mislead stay usable.
#[test]
fn an_escape_alone_is_no_reason_to_refuse() {
    let table = [
        ("/a/caf%C3%A9", "/a"),
        ("/a/x%2Fy", "/a"),
        ("/a/b/%20;v=1", "/a/b"),
        ("/b//x", "/b"),
        ("/b/.well-known/x", "/b"),
        ("/b/x..y/...", "/b"),
        ("/a/x;y=1/z", "/a"),
        ("/100%", "/"),
    ];
    for (target, expected) in table {
        assert_eq!(ask(&guarded(), "GET", target), Ok(expected.into()), "{target}");
    }
}

const PIECES: [&str; 21] = [
    "/", "/", "/", "a", "b", "c", "a/b", "d", "e", "f", "g", "..", ".", ";", "x", "\\", "%2f", "%2e", "%5c", "%3b",
    "%61",
];

proptest! {
    #![proptest_config(cases(512))]

    #[test]
    fn every_application_reads_the_route_that_was_permitted(
        pieces in vec(select(&PIECES[..]), 0..9),
        application in Just(PASSES.to_vec()).prop_shuffle(),
        length in 0..=PASSES.len(),
    ) {
        let raw = format!("/{}", pieces.concat());
        assert_read_alike(&guarded(), raw.as_bytes(), &[application[..length].to_vec()]);
    }
}
