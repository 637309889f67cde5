//! Bad input, one mistake at a time: the place, the key, the message and the help of every problem.

use super::*;

/// What of [`MINIMAL`] is replaced; by what, where `§` stands for what was there; and the problems of that, whole or up to `…`.
type Case = (&'static str, &'static str, &'static [&'static str]);

fn check(cases: &[Case]) {
    for (from, to, expected) in cases {
        let problems = wrong(&text(from, to));
        let found: Vec<String> = problems.list().iter().map(line).collect();
        let fits = |(found, expected): (&String, &&str)| match expected.strip_suffix('…') {
            Some(start) => found.starts_with(start),
            None => found == expected,
        };
        let all = found.len() == expected.len() && found.iter().zip(*expected).all(fits);
        assert!(all, "{to}\nexpected {expected:#?}\nfound {found:#?}\n{problems}");
    }
}

fn text(from: &str, to: &str) -> String {
    with(MINIMAL, from, &to.replace('§', from).replace("ACCESS", ACCESS))
}

/// The texts of all cases.
pub(super) fn texts() -> impl Iterator<Item = String> {
    let tables =
        [THE_SMALL_SECTIONS, CLOUDFLARE, LISTENERS, HOSTS, POLICIES, ACCESS_POLICIES, CERTIFICATES, ROUTES, UPSTREAMS];
    tables.into_iter().flatten().map(|(from, to, _)| text(from, to))
}

const VERSION: &str = "version: 1\n";
const LISTENER: &str = "  - {name: https, address: \"[::]:8443\"}\n";
const LISTENER_END: &str = "shop]}\n";
const ADDRESS: &str = "address: \"[::]:8443\"";
const CERTIFICATE: &str = "certificate: {chain: shop.pem, key: shop.key}";
const ORIGIN_PULL: &str = "{mode: require}";
const BEFORE_ROUTES: &str = "    routes:\n";
const ROUTE: &str = "      - {name: all, upstream: shop}\n";
const UPSTREAMS_KEY: &str = "upstreams:\n";
const SERVERS: &str = "servers: [\"127.0.0.1:9000\"]";

fn line(problem: &Problem) -> String {
    let help = problem.help.as_ref().map(|help| format!(" ({help})"));
    format!("{}: {}{}", place(problem), problem.message, help.unwrap_or_default())
}

/// The root and the small sections.
#[rustfmt::skip]
const THE_SMALL_SECTIONS: &[Case] = &[
    (VERSION, "", &["1:1 version: missing"]),
    (VERSION, "version:\n", &["1:8 version: expected a value, found nothing"]),
    (VERSION, "version: 2\n", &["1:10 version: `2` is not a version this build reads (write version: 1)"]),
    (VERSION, "version: \"1\"\n", &["1:10 version: expected a whole number, found `1` (write 1 without quotes)"]),
    (VERSION, "version: one\n", &["1:10 version: expected a whole number, found `one`"]),
    (VERSION, "version: [1]\n", &["1:10 version: expected a single value, found a list"]),
    (VERSION, "§verion: 1\n",
        &["2:1 verion: unknown key (the keys here are version, runtime, admin, log, cloudflare, tls, listeners, hosts, upstreams, tracing)"]),
    (VERSION, "§telemetry: {}\n",
        &["2:1 telemetry: unknown key (the keys here are version, runtime, admin, log, cloudflare, tls, listeners, hosts, upstreams, tracing)"]),
    (VERSION, "§runtime: fast\n", &["2:10 runtime: expected a map, found `fast`"]),
    (VERSION, "§runtime: [1]\n", &["2:10 runtime: expected a map, found a list"]),
    (VERSION, "§runtime: {workers: 0}\n",
        &["2:20 runtime.workers: expected a whole number of at least 1, found `0`"]),
    (VERSION, "§runtime: {workers: many}\n",
        &["2:20 runtime.workers: expected a whole number of at least 1, found `many`"]),
    (VERSION, "§runtime: {workers: -1}\n",
        &["2:20 runtime.workers: expected a whole number of at least 1, found `-1`"]),
    (VERSION, "§runtime: {drain: 30}\n", &["2:18 runtime.drain: `30` has no unit (write 30s for seconds)"]),
    (VERSION, "§runtime: {drain: soon}\n",
        &["2:18 runtime.drain: `soon` is not a length of time (write 10s, 250ms, 5m or 1h)"]),
    (VERSION, "§runtime: {drain: 2years}\n", &["2:18 runtime.drain: `2years` is longer than a year"]),
    (VERSION, "§runtime: {upstream_idle: 1.5}\n",
        &["2:26 runtime.upstream_idle: expected a whole number, found `1.5`"]),
    (VERSION, "§runtime: {upstream_idle: \"64\"}\n",
        &["2:26 runtime.upstream_idle: expected a whole number, found `64` (write 64 without quotes)"]),
    (VERSION, "§runtime: {state_dir: ''}\n",
        &["2:22 runtime.state_dir: the path is empty (write /var/lib/pullgate, for instance)"]),
    (VERSION, "§runtime: {watch: 1s}\n", &["2:18 runtime.watch: expected true or false, found `1s`"]),
    (VERSION, "§runtime: {worker: 1}\n", &["2:11 runtime.worker: unknown key (did you mean `workers`?)"]),
    (VERSION, "§admin: {address: 9090}\n",
        &["2:18 admin.address: `9090` is not an address with a port (write 0.0.0.0:8443, or \"[::]:8443\")"]),
    (VERSION, "§admin: {address: localhost:9090}\n",
        &["2:18 admin.address: `localhost:9090` is not an address with a port (write 0.0.0.0:8443, or \"[::]:8443\")"]),
    (VERSION, "§admin: {address: \"unix:/run/admin\"}\n",
        &["2:18 admin.address: not supported yet (write an address with a port, 0.0.0.0:8443 for instance)"]),
    (VERSION, "§admin: {address: \"[::]:8443\"}\n",
        &["4:28 listeners[0].address: the address `[::]:8443` is given twice; line 2 has it first"]),
    (VERSION, "§log: {level: verbose}\n",
        &["2:14 log.level: expected error, warn, info, debug or trace, found `verbose`"]),
    (VERSION, "§log: {level: debg}\n",
        &["2:14 log.level: expected error, warn, info, debug or trace, found `debg` (did you mean `debug`?)"]),
    (VERSION, "§log: {format: yaml}\n", &["2:15 log.format: expected json or text, found `yaml`"]),
    (VERSION, "§log: {access: stdot}\n",
        &["2:15 log.access: expected stdout, off or a path, found `stdot` (did you mean `stdout`?)"]),
    (VERSION, "§log: {access: journal}\n",
        &["2:15 log.access: expected stdout, off or a path, found `journal` (write ./journal for a file of this name)"]),
    (VERSION, "§log: {access: 1}\n", &["2:15 log.access: expected text, found `1` (put it in quotes: \"1\")"]),
    (VERSION, "§log: {redact: {query: token}}\n", &["2:23 log.redact.query: expected a list, found `token`"]),
    (VERSION, "§log: {redact: {query: [1, \"\"]}}\n", &[
        "2:24 log.redact.query[0]: expected text, found `1` (put it in quotes: \"1\")",
        "2:27 log.redact.query[1]: the name of a parameter is empty",
    ]),
    (VERSION, "§log: {redact: {headers: []}}\n",
        &["2:16 log.redact.headers: unknown key (the keys here are query)"]),
    (VERSION, "§tracing: on\n", &["2:10 tracing: expected a map, found `on`"]),
    (VERSION, "§tracing: {sample: 1%}\n", &["2:10 tracing.otlp: missing"]),
    (VERSION, "§tracing: {otlp: null}\n", &["2:17 tracing.otlp: expected a value, found nothing"]),
    (VERSION, "§tracing: {endpoint: a}\n",
        &["2:10 tracing.otlp: missing", "2:11 tracing.endpoint: unknown key (the keys here are otlp, sample)"]),
    (VERSION, "§tracing: {otlp: collector}\n", &["2:17 tracing.otlp: `collector` is not the http or https URL of a collector (write http://127.0.0.1:4318, for instance)"]),
    (VERSION, "§tracing: {otlp: \"localhost:4318\"}\n", &["2:17 tracing.otlp: `localhost:4318` is not the http or https URL of a collector (write http://127.0.0.1:4318, for instance)"]),
    (VERSION, "§tracing: {otlp: grpc://a:4317}\n", &["2:17 tracing.otlp: `grpc://a:4317` is not the http or https URL of a collector (write http://127.0.0.1:4318, for instance)"]),
    (VERSION, "§tracing: {otlp: \"http://:4318\"}\n", &["2:17 tracing.otlp: `http://:4318` is not the …"]),
    (VERSION, "§tracing: {otlp: \"http://a:\"}\n", &["2:17 tracing.otlp: `http://a:` has no port behind its colon (write http://127.0.0.1:4318, for instance)"]),
    (VERSION, "§tracing: {otlp: \"http://a:0\"}\n", &["2:17 tracing.otlp: `http://a:0` has no port …"]),
    (VERSION, "§tracing: {otlp: \"http://a:b\"}\n", &["2:17 tracing.otlp: `http://a:b` has no port …"]),
    (VERSION, "§tracing: {otlp: \"http://a:431800\"}\n", &["2:17 tracing.otlp: `http://a:431800` has no port …"]),
    (VERSION, "§tracing: {otlp: http://me:it@a}\n", &["2:17 tracing.otlp: `http://me:it@a` has a user in it, which nobody would be told (write http://127.0.0.1:4318, for instance)"]),
    (VERSION, "§tracing: {otlp: \"http://a/?key=1\"}\n", &["2:17 tracing.otlp: `http://a/?key=1` has a query or a fragment, and the path goes on behind it (write http://127.0.0.1:4318, for instance)"]),
    (VERSION, "§tracing: {otlp: \"http://a/#b\"}\n", &["2:17 tracing.otlp: `http://a/#b` has a query or a fragment, …"]),
    (VERSION, "§tracing: {otlp: \"http://a/b/v1/traces/\"}\n", &["2:17 tracing.otlp: `/v1/traces` is added by the gateway (write http://a/b)"]),
    (VERSION, "§tracing: {otlp: http://a, sample: 1}\n", &["2:35 tracing.sample: `1` is not a percentage (write 1%, 0.1% or 100%, for instance)"]),
    (VERSION, "§tracing: {otlp: http://a, sample: .5%}\n", &["2:35 tracing.sample: `.5%` is not a percentage …"]),
    (VERSION, "§tracing: {otlp: http://a, sample: -1%}\n", &["2:35 tracing.sample: `-1%` is not a percentage …"]),
    (VERSION, "§tracing: {otlp: http://a, sample: 1e1%}\n", &["2:35 tracing.sample: `1e1%` is not a percentage …"]),
    (VERSION, "§tracing: {otlp: http://a, sample: 100.1%}\n", &["2:35 tracing.sample: `100.1%` is more than all requests (write 1%, 0.1% or 100%, for instance)"]),
    (VERSION, "§tracing: {otlp: http://a, sample: 99999999999%}\n", &["2:35 tracing.sample: `99999999999%` is more than all requests …"]),
    (VERSION, "§tracing: {otlp: http://a, sample: 0.00001%}\n", &["2:35 tracing.sample: `0.00001%` is finer than one request of a million …"]),
    (VERSION, "§tls: {versions: []}\n", &["2:17 tls.versions: the list is empty; it needs \"1.2\" or \"1.3\""]),
    (VERSION, "§tls: {versions: [1.1]}\n",
        &["2:18 tls.versions[0]: expected 1.2 or 1.3, found `1.1` (did you mean `1.2`?)"]),
    (VERSION, "§tls: {http2: yes}\n",
        &["2:14 tls.http2: expected true or false, found `yes` (write true, without quotes)"]),
    (VERSION, "§tls: {http2: \"true\"}\n",
        &["2:14 tls.http2: expected true or false, found `true` (write true, without quotes)"]),
    (VERSION, "§tls: {http2: flase}\n",
        &["2:14 tls.http2: expected true or false, found `flase` (did you mean `false`?)"]),
    (VERSION, "§tls: {http2: 1}\n", &["2:14 tls.http2: expected true or false, found `1`"]),
];

/// Section `cloudflare`.
#[rustfmt::skip]
const CLOUDFLARE: &[Case] = &[
    (VERSION, "§cloudflare: {ranges: {source: fil}}\n",
        &["2:31 cloudflare.ranges.source: expected builtin, api or file, found `fil` (did you mean `file`?)"]),
    (VERSION, "§cloudflare: {ranges: {source: file}}\n",
        &["2:22 cloudflare.ranges.file: missing: `source: file` reads it"]),
    (VERSION, "§cloudflare: {ranges: {file: ranges.txt}}\n",
        &["2:23 cloudflare.ranges.file: only `source: file` reads a file (remove `file`, or write source: file)"]),
    (VERSION, "§cloudflare: {ranges: {source: file, file: nowhere.txt}}\n",
        &["2:43 cloudflare.ranges.file: cannot read `nowhere.txt`: No such file or directory (os error 2)"]),
    (VERSION, "§cloudflare: {ranges: {source: file, file: shop.key}}\n",
        &["2:43 cloudflare.ranges.file: `shop.key`: `key 1` is no range"]),
    (VERSION, "§cloudflare: {ranges: {source: file, file: ranges-empty.txt}}\n",
        &["2:43 cloudflare.ranges.file: `ranges-empty.txt`: the list has no IPv4 prefix; a list without one would lock visitors out"]),
    (VERSION, "§cloudflare: {ranges: {source: file, file: ranges-v4.txt}}\n",
        &["2:43 cloudflare.ranges.file: `ranges-v4.txt`: the list has no IPv6 prefix; a list without one would lock visitors out"]),
    (VERSION, "§cloudflare: {ranges: {source: file, file: ranges-private.txt}}\n",
        &["2:43 cloudflare.ranges.file: `ranges-private.txt`: 10.0.0.0/8 is not public unicast space (private, loopback, link-local, multicast or reserved)"]),
    (VERSION, "§cloudflare: {ranges: {extra: [10.0.0.0/33, lab]}}\n", &[
        "2:31 cloudflare.ranges.extra[0]: `10.0.0.0/33` is not a network (write 203.0.113.0/24, 2001:db8::/32 or a single address)",
        "2:44 cloudflare.ranges.extra[1]: `lab` is not a network (write 203.0.113.0/24, 2001:db8::/32 or a single address)",
    ]),
    (VERSION, "§cloudflare: {ranges: {extra: 10.0.0.0/8}}\n",
        &["2:30 cloudflare.ranges.extra: expected a list, found `10.0.0.0/8`"]),
    (VERSION, "§cloudflare: {ranges: {source: builtin, url: \"https://x\", refresh: 1h, removal_grace: 24h}}\n", &[
        "2:40 cloudflare.ranges.url: only `source: api` fetches a list (remove `url`, or write source: api)",
        "2:58 cloudflare.ranges.refresh: only `source: api` fetches a list (remove `refresh`, or write source: api)",
        "2:71 cloudflare.ranges.removal_grace: only `source: api` fetches a list (remove `removal_grace`, or write source: api)",
    ]),
    (VERSION, "§cloudflare: {ranges: {source: builtin, networks: [jdcloud]}}\n",
        &["2:40 cloudflare.ranges.networks: the compiled-in list has no partners' networks (write source: api, or source: file with a saved answer of the API)"]),
    (VERSION, "§cloudflare: {ranges: {networks: [jdcluod]}}\n",
        &["2:34 cloudflare.ranges.networks[0]: expected jdcloud, found `jdcluod` (did you mean `jdcloud`?)"]),
    (VERSION, "§cloudflare: {ranges: {url: \"http://mirror.example.com/ips\"}}\n",
        &["2:28 cloudflare.ranges.url: `http://mirror.example.com/ips` is not a URL that a list can be fetched from (write https: without it the list may only come from 127.0.0.1 or [::1])"]),
    (VERSION, "§cloudflare: {ranges: {url: \"http://127.0.0.1.example.com/ips\"}}\n",
        &["2:28 cloudflare.ranges.url: `http://127.0.0.1.example.com/ips` is not a URL that a list can be fetched from (write https: without it the list may only come from 127.0.0.1 or [::1])"]),
    (VERSION, "§cloudflare: {ranges: {url: \"http://localhost/ips\"}}\n",
        &["2:28 cloudflare.ranges.url: `http://localhost/ips` is not a URL that a list can be fetched from (write https: without it the list may only come from 127.0.0.1 or [::1])"]),
    (VERSION, "§cloudflare: {ranges: {url: /ips}}\n",
        &["2:28 cloudflare.ranges.url: `/ips` is not a URL that a list can be fetched from (write https://api.cloudflare.com/client/v4/ips, or the https URL of a mirror)"]),
    (VERSION, "§cloudflare: {ranges: {url: \"ftp://x/ips\"}}\n",
        &["2:28 cloudflare.ranges.url: `ftp://x/ips` is not a URL that a list can be fetched from (write https://api.cloudflare.com/client/v4/ips, or the https URL of a mirror)"]),
    (VERSION, "§cloudflare: {ranges: {url: \"https://me:secret@x/ips\"}}\n",
        &["2:28 cloudflare.ranges.url: `https://me:secret@x/ips` is not a URL that a list can be fetched from (write https://api.cloudflare.com/client/v4/ips, or the https URL of a mirror)"]),
    (VERSION, "§cloudflare: {ranges: {url: \"https://x:844300/ips\"}}\n",
        &["2:28 cloudflare.ranges.url: `https://x:844300/ips` has no port behind its colon (write https://api.cloudflare.com/client/v4/ips, or the https URL of a mirror)"]),
    (VERSION, "§cloudflare: {ranges: {url: \"https://x:0/ips\"}}\n",
        &["2:28 cloudflare.ranges.url: `https://x:0/ips` has no port …"]),
    (VERSION, "§cloudflare: {ranges: {refresh: 0s}}\n",
        &["2:32 cloudflare.ranges.refresh: `0s` is too often (write 1h, for instance; 1s is the least)"]),
    (VERSION, "§cloudflare: {ranges: {refresh: 3600}}\n",
        &["2:32 cloudflare.ranges.refresh: `3600` has no unit (write 3600s for seconds)"]),
    (VERSION, "§cloudflare: {ranges: {removal_grace: ever}}\n",
        &["2:38 cloudflare.ranges.removal_grace: `ever` is not a length of time (write 10s, 250ms, 5m or 1h)"]),
    (VERSION, "§cloudflare: {api: {token_file: null}}\n",
        &["2:14 cloudflare.api: not supported yet (remove `api`)"]),
];

/// Section `listeners`.
#[rustfmt::skip]
const LISTENERS: &[Case] = &[
    (LISTENER, "  []\n", &["3:3 listeners: the list is empty; it needs at least one listener"]),
    ("listeners:\n  - {name: https, address: \"[::]:8443\"}\n", "", &["1:1 listeners: missing"]),
    (LISTENER, "  https: {}\n", &["3:3 listeners: expected a list, found a map"]),
    (LISTENER, "  - https\n", &["3:5 listeners[0]: expected a map, found `https`"]),
    ("name: https, ", "", &["3:5 listeners[0].name: missing"]),
    ("name: https", "name: 'a b'",
        &["3:12 listeners[0].name: `a b` cannot be a label in metrics (use up to 64 letters, digits, `-`, `_` and `.`)"]),
    ("name: https", "name: 443",
        &["3:12 listeners[0].name: expected text, found `443` (put it in quotes: \"443\")"]),
    ("name: https", "name: ''",
        &["3:12 listeners[0].name: `` cannot be a label in metrics (use up to 64 letters, digits, `-`, `_` and `.`)"]),
    (", address: \"[::]:8443\"", "", &["3:5 listeners[0].address: missing"]),
    (ADDRESS, "address: 8443",
        &["3:28 listeners[0].address: `8443` is not an address with a port (write 0.0.0.0:8443, or \"[::]:8443\")"]),
    (ADDRESS, "address: \":8443\"",
        &["3:28 listeners[0].address: `:8443` is not an address with a port (write 0.0.0.0:8443, or \"[::]:8443\")"]),
    (ADDRESS, "address: unix:/run/x",
        &["3:28 listeners[0].address: not supported yet (write an address with a port, 0.0.0.0:8443 for instance)"]),
    (ADDRESS, "address: \"inherited:\"",
        &["3:28 listeners[0].address: `` is not the name of a socket (write inherited: and what FileDescriptorName= says, inherited:https for instance)"]),
    (ADDRESS, "address: \"inherited:a:b\"",
        &["3:28 listeners[0].address: `a:b` is not the name of a socket (write inherited: and what FileDescriptorName= says, inherited:https for instance)"]),
    (ADDRESS, "address: inherited:web, ipv6_only: true",
        &["3:54 listeners[0].ipv6_only: whoever opens the socket decides this: BindIPv6Only= of systemd (remove `ipv6_only`)"]),
    (ADDRESS, "address: \"[::]\"",
        &["3:28 listeners[0].address: `[::]` is not an address with a port (write 0.0.0.0:8443, or \"[::]:8443\")"]),
    (LISTENER, "§  - {name: https, address: \"[::]:8443\"}\n", &[
        "4:12 listeners[1].name: the listener name `https` is given twice; line 3 has it first",
        "4:28 listeners[1].address: the address `[::]:8443` is given twice; line 3 has it first",
    ]),
    (LISTENER, "§  - {name: http, address: \"[0:0::0]:8443\"}\n",
        &["4:27 listeners[1].address: the address `[::]:8443` is given twice; line 3 has it first"]),
    (ADDRESS, "§, hosts: everything",
        &["3:48 listeners[0].hosts: expected all, or a list of host names, found `everything`"]),
    (ADDRESS, "§, hosts: []", &["3:48 listeners[0].hosts: the list is empty; it needs all, or the name of a host"]),
    (ADDRESS, "§, hosts: [shpo]", &["3:49 listeners[0].hosts[0]: there is no host `shpo` (did you mean `shop`?)"]),
    (ADDRESS, "§, hosts: [shop, shop]",
        &["3:55 listeners[0].hosts[1]: the host `shop` is given twice; line 3 has it first"]),
    (ADDRESS, "§, hosts: {shop: 1}", &["3:48 listeners[0].hosts: expected a list, found a map"]),
    (ADDRESS, "§, protocol: htps",
        &["3:51 listeners[0].protocol: expected https or http, found `htps` (did you mean `https`?)"]),
    (ADDRESS, "§, ipv6_only: maybe", &["3:52 listeners[0].ipv6_only: expected true or false, found `maybe`"]),
    (ADDRESS, "address: \"0.0.0.0:8443\", ipv6_only: true",
        &["3:55 listeners[0].ipv6_only: the listener's address is an IPv4 one (remove `ipv6_only`)"]),
    (ADDRESS, "§, sources: cloudfare",
        &["3:50 listeners[0].sources: expected cloudflare, any or a list of networks, found `cloudfare` (did you mean `cloudflare`?)"]),
    (ADDRESS, "§, sources: []",
        &["3:50 listeners[0].sources: the list is empty; it needs a network, or write cloudflare or any"]),
    (ADDRESS, "§, sources: [cloudflare]",
        &["3:51 listeners[0].sources[0]: `cloudflare` is not a network (write 203.0.113.0/24, 2001:db8::/32 or a single address)"]),
    (ADDRESS, "§, sources: {}", &["3:50 listeners[0].sources: expected a list, found a map"]),
    (ADDRESS, "§, sources: any, kernel_filter: require",
        &["3:70 listeners[0].kernel_filter: anybody may connect here, so that there is nobody to drop (list `sources`, or remove `kernel_filter`)"]),
    (ADDRESS, "§, kernel_filter: none",
        &["3:56 listeners[0].kernel_filter: expected off, auto or require, found `none`"]),
    (ADDRESS, "§, limits: {handshake_timeout: 10, header_timeout: 0s, body_timeout: long, write_timeout: 10 parsecs, idle_timeout: []}", &[
        "3:69 listeners[0].limits.handshake_timeout: `10` has no unit (write 10s for seconds)",
        "3:89 listeners[0].limits.header_timeout: a time-out of zero would refuse everything (write 10s, for instance)",
        "3:107 listeners[0].limits.body_timeout: `long` is not a length of time (write 10s, 250ms, 5m or 1h)",
        "3:128 listeners[0].limits.write_timeout: `10 parsecs` is not a length of time (write 10s, 250ms, 5m or 1h)",
        "3:154 listeners[0].limits.idle_timeout: expected a single value, found a list",
    ]),
    (ADDRESS, "§, limits: {connections: 0, connections_per_source: many, header_bytes: 131072, header_count: 257, http2_streams: 0, requests_per_connection: 0}", &[
        "3:63 listeners[0].limits.connections: a limit of zero would refuse everything",
        "3:90 listeners[0].limits.connections_per_source: expected a whole number, found `many`",
        "3:110 listeners[0].limits.header_bytes: `131072` has no unit (write 131072B for bytes)",
        "3:132 listeners[0].limits.header_count: `257` is not a number from 1 to 256",
        "3:152 listeners[0].limits.http2_streams: `0` is not a number from 1 to 10000",
        "3:180 listeners[0].limits.requests_per_connection: a limit of zero would refuse everything",
    ]),
    (ADDRESS, "§, limits: {connections_per_source: 0, header_bytes: 1MiB}, proxy_protocol: {}", &[
        "3:74 listeners[0].limits.connections_per_source: a limit of zero would refuse everything",
        "3:91 listeners[0].limits.header_bytes: `1MiB` is not from 1KiB to below 1MiB",
        "3:114 listeners[0].proxy_protocol.from: missing",
    ]),
    (ADDRESS, "§, limits: {header_bytes: 100KB}, proxy_protocol: {from: [], trust: 1}", &[
        "3:64 listeners[0].limits.header_bytes: `100KB` is not an amount of bytes (write 512B, 128KiB, 100MiB or 1GiB)",
        "3:95 listeners[0].proxy_protocol.from: the list is empty; it needs a network",
        "3:99 listeners[0].proxy_protocol.trust: unknown key (the keys here are from)",
    ]),
    (ADDRESS, "§, proxy_protocol: {from: [balancer, 10.0.0.1/33]}", &[
        "3:65 listeners[0].proxy_protocol.from[0]: `balancer` is not a network (write 203.0.113.0/24, 2001:db8::/32 or a single address)",
        "3:75 listeners[0].proxy_protocol.from[1]: `10.0.0.1/33` is not a network (write 203.0.113.0/24, 2001:db8::/32 or a single address)",
    ]),
    (ADDRESS, "§, limits: {idle: 10s}",
        &["3:50 listeners[0].limits.idle: unknown key (did you mean `idle_timeout`?)"]),
];

/// Section `hosts`.
#[rustfmt::skip]
const HOSTS: &[Case] = &[
    ("name: shop\n", "name: none\n",
        &["5:11 hosts[0].name: `none` is what metrics call something else (choose another name)"]),
    ("name: shop\n", "name: shop shop\n",
        &["5:11 hosts[0].name: `shop shop` cannot be a label in metrics (use up to 64 letters, digits, `-`, `_` and `.`)"]),
    ("  - name: shop\n    hostnames", "  - hostnames", &["5:5 hosts[0].name: missing"]),
    ("    hostnames: [shop.example.com]\n", "", &["5:5 hosts[0].hostnames: missing"]),
    ("[shop.example.com]", "[]", &["6:16 hosts[0].hostnames: the list is empty; it needs at least one hostname"]),
    ("[shop.example.com]", "shop.example.com",
        &["6:16 hosts[0].hostnames: expected a list, found `shop.example.com`"]),
    ("[shop.example.com]", "[shop.example.com, Shop.Example.Com.]",
        &["6:35 hosts[0].hostnames[1]: the hostname `shop.example.com` is given twice; line 6 has it first"]),
    ("[shop.example.com]", "[\"*\", a b, \"https://x\", ~]", &[
        "6:17 hosts[0].hostnames[0]: `*` is not a hostname; write a name such as shop.example.com, or *.example.com for any one label",
        "6:22 hosts[0].hostnames[1]: `a b` is not a hostname; write a name such as shop.example.com, or *.example.com for any one label",
        "6:27 hosts[0].hostnames[2]: `https://x` is not a hostname; write a name such as shop.example.com, or *.example.com for any one label",
        "6:40 hosts[0].hostnames[3]: expected a value, found nothing",
    ]),
    ("    origin_pull", "    default: yes\n    origin_pull",
        &["8:14 hosts[0].default: expected true or false, found `yes` (write true, without quotes)"]),
    ("    origin_pull", "    request: {body_bytes: 1048576, methods: [get, GET, GET]}\n    origin_pull", &[
        "8:27 hosts[0].request.body_bytes: `1048576` has no unit (write 1048576B for bytes)",
        "8:46 hosts[0].request.methods[0]: `get` is not a method (did you mean `GET`?)",
        "8:56 hosts[0].request.methods[2]: the method `GET` is given twice; line 8 has it first",
    ]),
    ("    origin_pull", "    request: {body_bytes: 1MB, methods: [], method: []}\n    origin_pull", &[
        "8:27 hosts[0].request.body_bytes: `1MB` is not an amount of bytes (write 512B, 128KiB, 100MiB or 1GiB)",
        "8:41 hosts[0].request.methods: the list is empty; it needs a method",
        "8:45 hosts[0].request.method: unknown key (the keys here are body_bytes, methods)",
    ]),
    ("    certificate: {chain: shop.pem, key: shop.key}\n", "",
        &["5:5 hosts[0].certificate: missing: an https listener serves this host"]),
    (CERTIFICATE, "certificate: []",
        &["7:18 hosts[0].certificate: the list is empty; it needs at least one {chain: …, key: …}"]),
    (CERTIFICATE, "certificate: [{chain: shop.pem, key: shop.key}, {chain: third.pem, key: third.key}, {chain: rsa.pem, key: third.key}]", &[
        "7:77 hosts[0].certificate[1].key: a certificate with a key of the kind `ECDSA` is given twice; line 7 has it first",
        "7:111 hosts[0].certificate[2].key: this key does not belong to the certificate",
    ]),
    (CERTIFICATE, "certificate: {origin_ca: {validity: 90d}}", &[
        "7:18 hosts[0].certificate.chain: missing",
        "7:18 hosts[0].certificate.key: missing",
        "7:19 hosts[0].certificate.origin_ca: not supported yet (remove `origin_ca`)",
    ]),
    (CERTIFICATE, "certificate: {chain: shop.pem}", &["7:18 hosts[0].certificate.key: missing"]),
    (CERTIFICATE, "certificate: {chain: nowhere.pem, key: nowhere.key}", &[
        "7:26 hosts[0].certificate.chain: cannot read `nowhere.pem`: No such file or directory (os error 2)",
        "7:44 hosts[0].certificate.key: cannot read `nowhere.key`: No such file or directory (os error 2)",
    ]),
    (CERTIFICATE, "certificate: {chain: broken.pem, key: shop.key}",
        &["7:26 hosts[0].certificate.chain: no certificate in it"]),
    (CERTIFICATE, "certificate: {chain: shop.pem, key: broken.key}",
        &["7:41 hosts[0].certificate.key: no private key in it"]),
    (CERTIFICATE, "certificate: {chain: shop.pem, key: other.key}",
        &["7:41 hosts[0].certificate.key: this key does not belong to the certificate"]),
    (CERTIFICATE, "certificate: {chain: shop.pem, key: shop.key, ocsp: ranges.txt}",
        &["7:57 hosts[0].certificate.ocsp: no answer for this certificate in it"]),
    (CERTIFICATE, "certificate: {chain: shop.pem, key: shop.key, ocsp: nowhere.ocsp}",
        &["7:57 hosts[0].certificate.ocsp: cannot read `nowhere.ocsp`: No such file or directory (os error 2)"]),
    (CERTIFICATE, "certificate: shop.pem", &["7:18 hosts[0].certificate: expected a map, found `shop.pem`"]),
    (ADDRESS, "§, protocol: http",
        &["7:5 hosts[0].certificate: no https listener serves this host (remove `certificate`)"]),
    ("    origin_pull: {mode: require}\n", "", &["5:5 hosts[0].origin_pull: missing"]),
    (ORIGIN_PULL, "require", &["8:18 hosts[0].origin_pull: expected a map, found `require`"]),
    (ORIGIN_PULL, "{}", &["8:18 hosts[0].origin_pull.mode: missing"]),
    (ORIGIN_PULL, "{mode: on}", &["8:25 hosts[0].origin_pull.mode: expected off, observe or require, found `on`"]),
    (ORIGIN_PULL, "{mode: requird, trust: [nowhere.pem]}", &[
        "8:25 hosts[0].origin_pull.mode: expected off, observe or require, found `requird` (did you mean `require`?)",
        "8:42 hosts[0].origin_pull.trust[0]: cannot read `nowhere.pem`: No such file or directory (os error 2)",
    ]),
    (ORIGIN_PULL, "{mode: require, trust: []}",
        &["8:41 hosts[0].origin_pull.trust: the list is empty; it needs cloudflare, or the PEM file of a CA"]),
    (ORIGIN_PULL, "{mode: observe, trust: cloudflare}",
        &["8:41 hosts[0].origin_pull.trust: expected a list, found `cloudflare`"]),
    (ORIGIN_PULL, "{mode: off, trust: [ca.pem]}",
        &["8:30 hosts[0].origin_pull.trust: `mode: off` asks for no certificate, so none is judged (remove `trust`, or write mode: observe)"]),
    (ORIGIN_PULL, "{mode: off, trust: []}",
        &["8:30 hosts[0].origin_pull.trust: `mode: off` asks for no certificate, so none is judged (remove `trust`, or write mode: observe)"]),
    (ORIGIN_PULL, "{mode: require, trust: [ca.pem, shop.pem, nowhere.pem, cloudfare]}", &[
        "8:50 hosts[0].origin_pull.trust[1]: `shop.pem`: no certificate in PEM form: the text has no CERTIFICATE section",
        "8:60 hosts[0].origin_pull.trust[2]: cannot read `nowhere.pem`: No such file or directory (os error 2)",
        "8:73 hosts[0].origin_pull.trust[3]: cannot read `cloudfare`: No such file or directory (os error 2) (did you mean `cloudflare`?)",
    ]),
    (ORIGIN_PULL, "{mode: require, trust: [ca-old.pem, ca-new.pem]}",
        &["8:41 hosts[0].origin_pull.trust: no CA of the list is in force: CN=old (SHA-256 …"]),
    (ORIGIN_PULL, "{mode: require, pins: [x, 4A==], crl: nowhere.crl}", &[
        "8:41 hosts[0].origin_pull.pins[0]: `x` is not the base64 of a SHA-256 (44 characters) (openssl x509 -in …",
        "8:44 hosts[0].origin_pull.pins[1]: `4A==` is not the base64 of a SHA-256 (44 characters) (openssl x509 -in …",
        "8:56 hosts[0].origin_pull.crl: cannot read `nowhere.crl`: No such file or directory (os error 2)",
    ]),
    (ORIGIN_PULL, "{mode: off, pins: [x], crl: ca.crl}", &[
        "8:30 hosts[0].origin_pull.pins: `mode: off` asks for no certificate, so none is judged (remove `pins`, or write mode: observe)",
        "8:41 hosts[0].origin_pull.crl: `mode: off` asks for no certificate, so none is judged (remove `crl`, or write mode: observe)",
    ]),
    (ORIGIN_PULL, "{mode: require, trust: , pins: }", &[
        "8:39 hosts[0].origin_pull.trust: expected a list, found nothing",
        "8:47 hosts[0].origin_pull.pins: expected a list, found nothing",
    ]),
    (ORIGIN_PULL, "{mode: require, trust: [ca.pem, ca-twin.pem], crl: ca.crl}", &[
        "8:69 hosts[0].origin_pull.crl: two CAs of `trust` are called CN=in force, and lists are told apart by the name of their CA (give the next CA a name of its own)",
    ]),
    (ORIGIN_PULL, "{mode: require, trust: [ca.pem], crl: ca.pem}",
        &["8:56 hosts[0].origin_pull.crl: `ca.pem`: no revocation list in PEM form: 1 sections begin, 0 are of an X509 CRL"]),
    (ORIGIN_PULL, "{mode: require, trust: [ca.pem], crl: ranges.txt}",
        &["8:56 hosts[0].origin_pull.crl: `ranges.txt`: no revocation list in PEM form: the text has no X509 CRL section"]),
    (ORIGIN_PULL, "{mode: require, trust: [ca.pem, ca-two.pem, cloudflare], crl: ca.crl}", &[
        "8:80 hosts[0].origin_pull.crl: no list here is issued by C=US, O=CloudFlare, Inc., …",
        "8:80 hosts[0].origin_pull.crl: no list here is issued by CN=two, so that every certificate under it would be refused (add its list to the file, or remove the CA from `trust`)",
    ]),
    (BEFORE_ROUTES, "    visitor: {address_header: a b, missing: ignore}\n§", &[
        "9:31 hosts[0].visitor.address_header: `a b` is not the name of a header",
        "9:45 hosts[0].visitor.missing: expected refuse or source, found `ignore`",
    ]),
    (BEFORE_ROUTES, "    visitor: {features: [acess, Location, bots, 1, access, access], forwarded: yes}\n§", &[
        "9:26 hosts[0].visitor.features[0]: expected access, location, bot, true-client-ip, waf or early-data, found `acess` (did you mean `access`?)",
        "9:33 hosts[0].visitor.features[1]: expected access, location, bot, true-client-ip, waf or early-data, found `Location` (did you mean `location`?)",
        "9:43 hosts[0].visitor.features[2]: expected access, location, bot, true-client-ip, waf or early-data, found `bots` (did you mean `bot`?)",
        "9:49 hosts[0].visitor.features[3]: expected access, location, bot, true-client-ip, waf or early-data, found `1`",
        "9:60 hosts[0].visitor.features[5]: the feature `access` is given twice; line 9 has it first",
        "9:80 hosts[0].visitor.forwarded: expected true or false, found `yes` (write true, without quotes)",
    ]),
    (BEFORE_ROUTES, "    visitor: {features: location, address_header: True-Client-IP}\n§", &[
        "9:25 hosts[0].visitor.features: expected a list, found `location`",
    ]),
    (BEFORE_ROUTES, "    visitor: {address_header: True-Client-IP, features: [bot]}\n§", &[
        "9:31 hosts[0].visitor.address_header: without Cloudflare's feature `true-client-ip`, visitors choose `true-client-ip` themselves (turn it on in the zone and write features: [true-client-ip])",
    ]),
    (BEFORE_ROUTES, "    visitor: {address_header: X-Real-IP}\n§", &[
        "9:31 hosts[0].visitor.address_header: `x-real-ip` passes Cloudflare as visitors send it: they would choose their address themselves (write CF-Connecting-IP, or a name of your own that a rule of the zone sets)",
    ]),
    (BEFORE_ROUTES, "    visitor: {address_header: cf-pseudo-ipv4}\n§", &[
        "9:31 hosts[0].visitor.address_header: `CF-Pseudo-IPv4` is made up from an IPv6 address, and is nobody's (write CF-Connecting-IP, which has the real one)",
    ]),
    (BEFORE_ROUTES, "    headers: {set: {Connection: close, keep-alive: x, Transfer-Encoding: x, Content-Length: '1', Upgrade: x, TE: x, Trailer: x}}\n§", &[
        "9:21 hosts[0].headers.set.Connection: `Connection` belongs to the connection, which the gateway looks after (remove it)",
        "9:40 hosts[0].headers.set.keep-alive: `keep-alive` belongs to the connection, which the gateway looks after (remove it)",
        "9:55 hosts[0].headers.set.Transfer-Encoding: `Transfer-Encoding` belongs to the connection, which the gateway looks after (remove it)",
        "9:77 hosts[0].headers.set.Content-Length: `Content-Length` belongs to the connection, which the gateway looks after (remove it)",
        "9:98 hosts[0].headers.set.Upgrade: `Upgrade` belongs to the connection, which the gateway looks after (remove it)",
        "9:110 hosts[0].headers.set.TE: `TE` belongs to the connection, which the gateway looks after (remove it)",
        "9:117 hosts[0].headers.set.Trailer: `Trailer` belongs to the connection, which the gateway looks after (remove it)",
    ]),
    (BEFORE_ROUTES, "    headers: {set: {X A: x, X-B: 1, X-C: \"a\\nb\", X-D: '{visitor.ip}', X-E: ~}}\n§", &[
        "9:21 hosts[0].headers.set.\"X A\": `X A` is not the name of a header",
        "9:34 hosts[0].headers.set.X-B: expected text, found `1` (put it in quotes: \"1\")",
        "9:42 hosts[0].headers.set.X-C: a header value cannot hold line breaks or control characters",
        "9:55 hosts[0].headers.set.X-D: unknown placeholder {visitor.ip}; there are {visitor.address}, {visitor.country}, {connection.trust}, {request.id} and {request.target}",
        "9:76 hosts[0].headers.set.X-E: expected text, found nothing (put it in quotes: \"~\")",
    ]),
    (BEFORE_ROUTES, "    headers: {set: {X-A: x, x-a: y}, remove: [X A, te]}\n§", &[
        "9:34 hosts[0].headers.set.x-a: the header `x-a` is given twice; line 9 has it first",
        "9:47 hosts[0].headers.remove[0]: `X A` is not the name of a header",
        "9:52 hosts[0].headers.remove[1]: `te` belongs to the connection, which the gateway looks after (remove it)",
    ]),
    (BEFORE_ROUTES, "    response_headers: {remove: Server, add: {}}\n§", &[
        "9:32 hosts[0].response_headers.remove: expected a list, found `Server`",
        "9:40 hosts[0].response_headers.add: unknown key (the keys here are set, remove)",
    ]),
    (UPSTREAMS_KEY, "  - name: shop\n    hostnames: [\"*.example.com\", shop.example.com.]\n    default: true\n    certificate: {chain: shop.pem, key: shop.key}\n    origin_pull: {mode: off}\n    routes: [{name: all, upstream: shop}]\n  - name: more\n    hostnames: [\"*.Example.com\"]\n    default: true\n    certificate: {chain: shop.pem, key: shop.key}\n    origin_pull: {mode: off}\n    routes: [{name: all, respond: {status: 404}}]\n§", &[
        "11:11 hosts[1].name: the host name `shop` is given twice; line 5 has it first",
        "12:34 hosts[1].hostnames[1]: the hostname `shop.example.com` is given twice; line 6 has it first",
        "18:17 hosts[2].hostnames[0]: the hostname `*.example.com` is given twice; line 12 has it first",
        "19:14 hosts[2].default: the key `default: true` is given twice; line 13 has it first",
    ]),
];

/// Policies.
#[rustfmt::skip]
const POLICIES: &[Case] = &[
    (BEFORE_ROUTES, "    policies: {}\n§", &["9:15 hosts[0].policies: expected a list, found a map"]),
    (BEFORE_ROUTES, "    policies: [workers]\n§", &["9:16 hosts[0].policies[0]: expected a map, found `workers`"]),
    (BEFORE_ROUTES, "    policies: [{zones: []}]\n§", &["9:16 hosts[0].policies[0].kind: missing"]),
    (BEFORE_ROUTES, "    policies: [{kind: worker}]\n§",
        &["9:23 hosts[0].policies[0].kind: expected access, client-certificate, client-networks, countries, edge-secret, proof or workers, found `worker` (did you mean `workers`?)"]),
    (BEFORE_ROUTES, "    policies: [{kind: proof, least: none}]\n§",
        &["9:37 hosts[0].policies[0].least: expected network, edge or account, found `none`"]),
    (BEFORE_ROUTES, "    policies: [{kind: workers}]\n§", &["9:16 hosts[0].policies[0].zones: missing"]),
    (BEFORE_ROUTES, "    policies: [{kind: workers, zones: [a b], mode: off}]\n§", &[
        "9:40 hosts[0].policies[0].zones[0]: `a b` is not the name of a zone (write example.com)",
        "9:52 hosts[0].policies[0].mode: expected enforce or observe, found `off`",
    ]),
    (BEFORE_ROUTES, "    policies: [{kind: workers, zones: [], zone: x, allow: []}]\n§", &[
        "9:43 hosts[0].policies[0].zone: unknown key (the keys here are kind, name, mode, zones)",
        "9:52 hosts[0].policies[0].allow: unknown key (the keys here are kind, name, mode, zones)",
    ]),
    (BEFORE_ROUTES, "    policies: [{kind: client-networks}]\n§",
        &["9:16 hosts[0].policies[0]: a policy without networks decides nothing (give allow or deny a network)"]),
    (BEFORE_ROUTES, "    policies: [{kind: client-networks, allow: [], deny: []}]\n§",
        &["9:16 hosts[0].policies[0]: a policy without networks decides nothing (give allow or deny a network)"]),
    (BEFORE_ROUTES, "    policies: [{kind: client-networks, allow: [x], deny: y}]\n§", &[
        "9:48 hosts[0].policies[0].allow[0]: `x` is not a network (write 203.0.113.0/24, 2001:db8::/32 or a single address)",
        "9:58 hosts[0].policies[0].deny: expected a list, found `y`",
    ]),
    (BEFORE_ROUTES, "    policies: [{kind: countries, allow: []}]\n§",
        &["9:16 hosts[0].policies[0]: a policy without countries decides nothing (give allow or deny a country)"]),
    (BEFORE_ROUTES, "    policies: [{kind: countries, allow: [de, DEU, UK, ~, DE], deny: [DE, T1, T1], denied: []}]\n§", &[
        "9:42 hosts[0].policies[0].allow[0]: `de` is not a country (write DE)",
        "9:46 hosts[0].policies[0].allow[1]: `DEU` is not a country (write DE, for instance; XX stands for unknown, T1 for Tor)",
        "9:51 hosts[0].policies[0].allow[2]: `UK` is not a country (write GB)",
        "9:55 hosts[0].policies[0].allow[3]: expected a value, found nothing",
        "9:70 hosts[0].policies[0].deny[0]: the country `DE` is given twice; line 9 has it first",
        "9:78 hosts[0].policies[0].deny[2]: the country `T1` is given twice; line 9 has it first",
        "9:83 hosts[0].policies[0].denied: unknown key (the keys here are kind, name, mode, allow, deny)",
    ]),
    (BEFORE_ROUTES, "    policies: [{kind: edge-secret}]\n§", &[
        "9:16 hosts[0].policies[0].header: missing",
        "9:16 hosts[0].policies[0].values: missing",
    ]),
    (BEFORE_ROUTES, "    policies: [{kind: edge-secret, header: X.Edge, values: [], value: x}]\n§", &[
        "9:44 hosts[0].policies[0].header: `X.Edge` is not the name of a header that Cloudflare sets: letters, digits, `-` and `_` (write X-Edge-Secret, for instance)",
        "9:60 hosts[0].policies[0].values: the list is empty; it needs at least one {file: …}",
        "9:64 hosts[0].policies[0].value: unknown key (the keys here are kind, name, mode, header, values)",
    ]),
    (BEFORE_ROUTES, "    policies: [{kind: edge-secret, header: CF_Secret, values: [0123456789abcdef, {env: EDGE}]}]\n§", &[
        "9:44 hosts[0].policies[0].header: `CF_Secret` is a header of the gateway's or Cloudflare's own, and cannot carry a secret (write X-Edge-Secret, for instance)",
        "9:64 hosts[0].policies[0].values[0]: a secret stands in a file of its own, and here stands where that is (write {file: /run/secrets/edge})",
        "9:82 hosts[0].policies[0].values[1].file: missing",
        "9:83 hosts[0].policies[0].values[1].env: unknown key (the keys here are file)",
    ]),
    (BEFORE_ROUTES, "    policies: [{kind: edge-secret, header: Cookie, values: [{file: edge-a}, {file: edge-b}, {file: edge-a-twin}, {file: nowhere}]}]\n§", &[
        "9:44 hosts[0].policies[0].header: `Cookie` is needed by HTTP or applications, and a header with a secret is removed from every request (write X-Edge-Secret, for instance)",
        "9:100 hosts[0].policies[0].values[2].file: `edge-a-twin`: a file before it holds the same secret (remove it, or write another secret into it)",
        "9:121 hosts[0].policies[0].values[3].file: cannot read `nowhere`: No such file or directory (os error 2)",
    ]),
    (BEFORE_ROUTES, "    policies: [{kind: edge-secret, header: X-Edge, values: [{file: edge-empty}, {file: edge-short}, {file: edge-lines}, {file: edge-long}]}]\n§", &[
        "9:68 hosts[0].policies[0].values[0].file: `edge-empty`: there is no secret in it (openssl rand -hex 32 > edge-empty)",
        "9:88 hosts[0].policies[0].values[1].file: `edge-short`: a secret of fewer than 16 bytes can be guessed (openssl rand -hex 32 > edge-short)",
        "9:108 hosts[0].policies[0].values[2].file: `edge-lines`: a header carries one line of visible ASCII: no line break, no control character, no space at either end, no other letters (openssl rand -hex 32 > edge-lines)",
        "9:128 hosts[0].policies[0].values[3].file: `edge-long`: a secret has 1024 bytes at most (openssl rand -hex 32 > edge-long)",
    ]),
    (ROUTE, "      - {name: all, upstream: shop, policies: [{kind: edge-secret, header: X-Edge, values: [{file: edge-a}]}]}\n    headers: {set: {x_edge: x, X-Other: y}}\n    visitor: {address_header: X-Edge}\n", &[
        "11:21 hosts[0].headers.set.x_edge: `x_edge` is the header of an `edge-secret`, and removed from every request (take another name for one of them)",
        "12:31 hosts[0].visitor.address_header: `x-edge` is the header of an `edge-secret`, and removed from every request (take another name for one of them)",
    ]),
    (BEFORE_ROUTES, "    policies: [{kind: workers, zones: [], name: origin-pull}]\n§",
        &["9:49 hosts[0].policies[0].name: `origin-pull` is the label of the check of `origin_pull`"]),
    (BEFORE_ROUTES, "    policies: [{kind: workers, zones: []}, {kind: workers, zones: []}]\n§",
        &["9:44 hosts[0].policies[1]: the policy label `workers` is given twice; line 9 has it first"]),
    (BEFORE_ROUTES, "    policies: [{kind: workers, zones: [], name: a}, {kind: client-networks, deny: [10.0.0.1], name: a}]\n§",
        &["9:101 hosts[0].policies[1].name: the policy label `a` is given twice; line 9 has it first"]),
    ("    routes:\n      - {name: all, upstream: shop}\n", "    policies: [{kind: workers, zones: []}]\n    routes:\n      - {name: all, upstream: shop, policies: [{kind: workers, zones: []}]}\n",
        &["11:48 hosts[0].routes[0].policies[0]: the policy label `workers` is given twice; line 9 has it first"]),
    (BEFORE_ROUTES, "    policies: [{kind: rate-limit, key: of its own}]\n§",
        &["9:23 hosts[0].policies[0].kind: `rate-limit` is not supported yet (remove this policy)"]),
    (BEFORE_ROUTES, "    policies: [{kind: expression, key: of its own}]\n§",
        &["9:23 hosts[0].policies[0].kind: `expression` is not supported yet (remove this policy)"]),
    (BEFORE_ROUTES, "    policies: [{kind: forward-auth, key: of its own}]\n§",
        &["9:23 hosts[0].policies[0].kind: `forward-auth` is not supported yet (remove this policy)"]),
];

const ACCESS: &str = "    policies: [{kind: access, team: example, audiences: [4714c1358e65fe4b408ad6d432a5f878f08194bdb4752441fd56faefa9b2b6f2]";

/// Policy `access`.
#[rustfmt::skip]
const ACCESS_POLICIES: &[Case] = &[
    (BEFORE_ROUTES, "    policies: [{kind: access}]\n§",
        &["9:16 hosts[0].policies[0].audiences: missing", "9:16 hosts[0].policies[0].team: missing"]),
    (BEFORE_ROUTES, "    policies: [{kind: access, team: Example.com, audiences: [], cookie: 1, identities: {emails: [a]}}]\n§", &[
        "9:37 hosts[0].policies[0].team: `Example.com` is not the name of a team (write `example` for https://example.cloudflareaccess.com, or `example.fed` for the FedRAMP service)",
        "9:61 hosts[0].policies[0].audiences: the list is empty; it needs the AUD tag of an application",
        "9:73 hosts[0].policies[0].cookie: expected true or false, found `1`",
        "9:98 hosts[0].policies[0].identities.emails[0]: `a` is not an e-mail address, nor a pattern of them (write alice@example.com, or \"*@example.com\" for everybody there)",
    ]),
    (BEFORE_ROUTES, "    policies: [{kind: access, team: example, audiences: [4714C1358E65FE4B408AD6D432A5F878F08194BDB4752441FD56FAEFA9B2B6F2, abc]}]\n§", &[
        "9:58 hosts[0].policies[0].audiences[0]: `4714C1358E65FE4B408AD6D432A5F878F08194BDB4752441FD56FAEFA9B2B6F2` is not the AUD tag of an application (write the 64 lowercase hexadecimal digits that Cloudflare shows for the application)",
        "9:124 hosts[0].policies[0].audiences[1]: `abc` is not the AUD tag of an application (write the 64 lowercase hexadecimal digits that Cloudflare shows for the application)",
    ]),
    (BEFORE_ROUTES, "ACCESS, identities: }]\n§",
        &["9:135 hosts[0].policies[0].identities: expected a map, found nothing"]),
    (BEFORE_ROUTES, "ACCESS, identities: {}}]\n§",
        &["9:137 hosts[0].policies[0].identities: nobody is named, so that nobody could pass (list emails, groups or common_names, or remove `identities` to take everybody with a token)"]),
    (BEFORE_ROUTES, "ACCESS, identities: {emails: [], groups: }}]\n§",
        &["9:137 hosts[0].policies[0].identities: nobody is named, so that nobody could pass (list emails, groups or common_names, or remove `identities` to take everybody with a token)"]),
    (BEFORE_ROUTES, "ACCESS, identities: {email: [a@b]}}]\n§", &[
        "9:137 hosts[0].policies[0].identities: nobody is named, so that nobody could pass (list emails, groups or common_names, or remove `identities` to take everybody with a token)",
        "9:138 hosts[0].policies[0].identities.email: unknown key (did you mean `emails`?)",
    ]),
    (BEFORE_ROUTES, "ACCESS, identities: {emails: ['*example.com'], groups: [''], common_names: [' a']}}]\n§", &[
        "9:147 hosts[0].policies[0].identities.emails[0]: `*example.com` is not an e-mail address, nor a pattern of them (write alice@example.com, or \"*@example.com\" for everybody there)",
        "9:173 hosts[0].policies[0].identities.groups[0]: the name is empty, or has spaces around it",
        "9:193 hosts[0].policies[0].identities.common_names[0]: the name is empty, or has spaces around it",
    ]),
    (BEFORE_ROUTES, "ACCESS, jwks_url: certs.json}]\n§",
        &["9:135 hosts[0].policies[0].jwks_url: `certs.json` is not a URL that keys can be fetched from (write https://TEAM.cloudflareaccess.com/cdn-cgi/access/certs, or the https URL of a mirror)"]),
    (BEFORE_ROUTES, "ACCESS, jwks_url: 'https://mirror.example.com:/certs'}]\n§",
        &["9:135 hosts[0].policies[0].jwks_url: `https://mirror.example.com:/certs` has no port behind its colon (write https://TEAM.cloudflareaccess.com/cdn-cgi/access/certs, or the https URL of a mirror)"]),
    (BEFORE_ROUTES, "ACCESS, jwks_url: 'http://mirror.example.com/certs'}]\n§",
        &["9:135 hosts[0].policies[0].jwks_url: `http://mirror.example.com/certs` is not a URL that keys can be fetched from (write https: without it they may only come from 127.0.0.1 or [::1])"]),
    (BEFORE_ROUTES, "ACCESS}, {kind: access, name: b, team: example, audiences: [4714c1358e65fe4b408ad6d432a5f878f08194bdb4752441fd56faefa9b2b6f2], jwks_url: 'https://mirror.example.com/certs'}]\n§",
        &["9:254 hosts[0].policies[1].jwks_url: the keys of team `example` come from somewhere else in line 9 (write the same jwks_url in all policies of the team)"]),
    (VERSION, "§cloudflare: {access: {refresh: 1h, stale_after: 1h}}\n",
        &["2:49 cloudflare.access.stale_after: keys would be dropped before they are fetched again (write a `stale_after` of several times `refresh`: 24h, for instance)"]),
    (VERSION, "§cloudflare: {access: {refresh: 2d}}\n",
        &["2:22 cloudflare.access: keys would be dropped before they are fetched again (write a `stale_after` of several times `refresh`: 24h, for instance)"]),
    (VERSION, "§cloudflare: {access: {refresh: 500ms, stale_after: 24}}\n", &[
        "2:32 cloudflare.access.refresh: `500ms` is too often (write 1h, for instance; 1s is the least)",
        "2:52 cloudflare.access.stale_after: `24` has no unit (write 24s for seconds)",
    ]),
    (VERSION, "§cloudflare: {access: {team: example}}\n",
        &["2:23 cloudflare.access.team: unknown key (the keys here are refresh, stale_after)"]),
];

/// Visitors' certificates.
#[rustfmt::skip]
const CERTIFICATES: &[Case] = &[
    (BEFORE_ROUTES, "    visitor: {client_certificate: rfc9440}\n§",
        &["9:35 hosts[0].visitor.client_certificate: expected a map, found `rfc9440`"]),
    (BEFORE_ROUTES, "    visitor: {client_certificate: {}}\n§",
        &["9:35 hosts[0].visitor.client_certificate.headers: missing"]),
    (BEFORE_ROUTES, "    visitor: {client_certificate: {headers: rfc9441, chain: true}}\n§", &[
        "9:45 hosts[0].visitor.client_certificate.headers: expected rfc9440, cf-cert or cf-client-cert, found `rfc9441` (did you mean `rfc9440`?)",
        "9:54 hosts[0].visitor.client_certificate.chain: unknown key (the keys here are headers)",
    ]),
    (BEFORE_ROUTES, "    policies: [{kind: client-certificate, trust: [ca.pem]}]\n§",
        &["9:16 hosts[0].policies[0]: nothing tells this host of its visitors' certificates, so that everybody is refused (write client_certificate: {headers: rfc9440} in its `visitor`, or cf-cert or cf-client-cert: whichever Cloudflare sends)"]),
    (BEFORE_ROUTES, "    visitor: {client_certificate: null}\n    policies: [{kind: client-certificate, subjects: [\"CN=a\"], mode: observe}]\n§",
        &["10:16 hosts[0].policies[0]: nothing tells this host of its visitors' certificates, so that everybody is refused (write client_certificate: {headers: rfc9440} in its `visitor`, or cf-cert or cf-client-cert: whichever Cloudflare sends)"]),
    (BEFORE_ROUTES, "    visitor: {client_certificate: {headers: rfc9440}}\n    policies: [{kind: client-certificate}]\n§",
        &["10:16 hosts[0].policies[0]: a certificate by itself is no identity: Cloudflare's accounts share a client CA (give trust, subjects or fingerprints an entry)"]),
    (BEFORE_ROUTES, "    visitor: {client_certificate: {headers: rfc9440}}\n    policies: [{kind: client-certificate, trust: [], subjects: [], fingerprints: []}]\n§",
        &["10:16 hosts[0].policies[0]: a certificate by itself is no identity: Cloudflare's accounts share a client CA (give trust, subjects or fingerprints an entry)"]),
    (BEFORE_ROUTES, "    visitor: {client_certificate: {headers: rfc9440}}\n    policies: [{kind: client-certificate, trust: , subjects: ~, fingerprints: abc}]\n§", &[
        "10:48 hosts[0].policies[0].trust: expected a list, found nothing",
        "10:62 hosts[0].policies[0].subjects: expected a list, found nothing",
        "10:79 hosts[0].policies[0].fingerprints: expected a list, found `abc`",
    ]),
    (BEFORE_ROUTES, "    visitor: {client_certificate: {headers: rfc9440}}\n    policies: [{kind: client-certificate, trust: [nowhere.pem, cloudflare, shop.key], subjects: [alice, \"CNN=a\"], fingerprints: [abc]}]\n§", &[
        "10:51 hosts[0].policies[0].trust[0]: cannot read `nowhere.pem`: No such file or directory (os error 2)",
        "10:64 hosts[0].policies[0].trust[1]: Cloudflare's origin-pull CA certifies the edge, and no visitor (name the PEM file of the CA that your visitors' certificates are from)",
        "10:76 hosts[0].policies[0].trust[2]: `shop.key`: no certificate in PEM form: the text has no CERTIFICATE section",
        "10:98 hosts[0].policies[0].subjects[0]: `alice` is not a distinguished name (RFC 4514) (write \"CN=alice\", or the whole subject as `openssl x509 -noout -subject -nameopt RFC2253` shows it)",
        "10:105 hosts[0].policies[0].subjects[1]: `CNN` is not a type of attribute; there are CN, O, OU, L, ST, C, STREET, DC, UID, SN, GN, title, serialNumber, emailAddress, or its object identifier in dots (write \"CN=alice\", or the whole subject as `openssl x509 -noout -subject -nameopt RFC2253` shows it)",
        "10:130 hosts[0].policies[0].fingerprints[0]: `abc` is not a SHA-256 in hexadecimal (64 digits, with or without colons between the pairs) (openssl x509 -noout -fingerprint -sha256 -in client.pem)",
    ]),
    (BEFORE_ROUTES, "    visitor: {client_certificate: {headers: rfc9440}}\n    policies: [{kind: client-certificate, trust: [ca-old.pem]}]\n§",
        &["10:50 hosts[0].policies[0].trust: no CA of the list is in force: CN=old …"]),
    (BEFORE_ROUTES, "    visitor: {client_certificate: {headers: rfc9440}}\n    policies: [{kind: client-certificate, trust: [ca.pem], issuers: []}]\n§",
        &["10:60 hosts[0].policies[0].issuers: unknown key (the keys here are kind, name, mode, trust, subjects, fingerprints)"]),
    (BEFORE_ROUTES, "    visitor: {client_certificate: {headers: cf-cert}}\n    policies: [{kind: client-certificate, trust: [ca.pem], subjects: [\"CN=a\"]}]\n§",
        &["10:43 hosts[0].policies[0].trust: the fields of cf-cert describe a certificate and do not hold it: no chain can be checked (list `fingerprints` instead, or have Cloudflare send the fields of rfc9440)"]),
    (BEFORE_ROUTES, "    visitor: {client_certificate: {headers: cf-client-cert}}\n    policies: [{kind: client-certificate, subjects: [\"CN=a\"]}]\n§",
        &["10:53 hosts[0].policies[0].subjects: the fields of cf-client-cert do not say that Cloudflare verified a certificate: anybody can make one with this subject (name your CA in `trust`, or list `fingerprints`)"]),
    ("    routes:\n      - {name: all, upstream: shop}\n", "    routes:\n      - {name: all, upstream: shop, policies: [{kind: client-certificate, trust: [ca.pem]}]}\n",
        &["10:48 hosts[0].routes[0].policies[0]: nothing tells this host of its visitors' certificates, so that everybody is refused (write client_certificate: {headers: rfc9440} in its `visitor`, or cf-cert or cf-client-cert: whichever Cloudflare sends)"]),
    // What the visitor's key should have said is not known: nothing is said of the policy.
    (BEFORE_ROUTES, "    visitor: {client_certificate: {headers: cf}}\n    policies: [{kind: client-certificate, subjects: [\"CN=a\"]}]\n§",
        &["9:45 hosts[0].visitor.client_certificate.headers: expected rfc9440, cf-cert or cf-client-cert, found `cf`"]),
];

/// Routes.
#[rustfmt::skip]
const ROUTES: &[Case] = &[
    (ROUTE, "      []\n", &["10:7 hosts[0].routes: the list is empty; it needs at least one route"]),
    ("    routes:\n      - {name: all, upstream: shop}\n", "", &["5:5 hosts[0].routes: missing"]),
    (ROUTE, "      - {upstream: shop}\n", &["10:9 hosts[0].routes[0].name: missing"]),
    (ROUTE, "§      - {name: all, path: /x, upstream: shop}\n",
        &["11:16 hosts[0].routes[1].name: the route name `all` is given twice; line 10 has it first"]),
    (ROUTE, "      - {name: all}\n",
        &["10:9 hosts[0].routes[0].upstream: missing: a route needs `upstream` or `respond`"]),
    (ROUTE, "      - {name: all, upstream: shp}\n",
        &["10:31 hosts[0].routes[0].upstream: there is no upstream `shp` (did you mean `shop`?)"]),
    (ROUTE, "      - {name: all, upstrem: shop}\n",
        &["10:21 hosts[0].routes[0].upstrem: unknown key (did you mean `upstream`?)"]),
    (ROUTE, "      - {name: all, upstream: shop, respond: {status: 200}}\n",
        &["10:37 hosts[0].routes[0].respond: a route has either `upstream` or `respond` (remove one of them)"]),
    (ROUTE, "      - {name: all, upstream: shp, respond: {status: 700}}\n", &[
        "10:31 hosts[0].routes[0].upstream: there is no upstream `shp` (did you mean `shop`?)",
        "10:36 hosts[0].routes[0].respond: a route has either `upstream` or `respond` (remove one of them)",
        "10:54 hosts[0].routes[0].respond.status: `700` is not a status from 200 to 599",
    ]),
    (ROUTE, "§      - {name: r, path: /r, respond: {}}\n", &["11:38 hosts[0].routes[1].respond.status: missing"]),
    (ROUTE, "§      - {name: r, path: /r, respond: {status: 199}}\n",
        &["11:47 hosts[0].routes[1].respond.status: `199` is not a status from 200 to 599"]),
    (ROUTE, "§      - {name: r, path: /r, respond: {status: 70000}}\n",
        &["11:47 hosts[0].routes[1].respond.status: expected a whole number up to 65535, found `70000`"]),
    (ROUTE, "§      - {name: r, path: /r, respond: {status: 302}}\n",
        &["11:38 hosts[0].routes[1].respond.location: missing: 302 sends the client elsewhere"]),
    (ROUTE, "§      - {name: r, path: /r, respond: {status: 302, location: \"a\\nb\", body: x}}\n", &[
        "11:62 hosts[0].routes[1].respond.location: a header value cannot hold line breaks or control characters (write https://shop.example.com/, or https://shop.example.com{request.target} to keep path and query)",
        "11:70 hosts[0].routes[1].respond.body: unknown key (the keys here are status, location)",
    ]),
    (ROUTE, "§      - {name: r, path: /r, respond: {status: 404}, strip_prefix: true}\n",
        &["11:53 hosts[0].routes[1].strip_prefix: `respond` forwards nothing to strip a prefix from (remove `strip_prefix`)"]),
    (ROUTE, "§      - {name: r, path: r, upstream: shop}\n",
        &["11:25 hosts[0].routes[1].path: `r` is not a path; write /prefix for a path and all below it, or =/exact for one path"]),
    (ROUTE, "§      - {name: r, path: /a/../b, upstream: shop, methods: []}\n", &[
        "11:25 hosts[0].routes[1].path: `/a/../b` is not a path; write /prefix for a path and all below it, or =/exact for one path",
        "11:59 hosts[0].routes[1].methods: the list is empty; it needs a method; without `methods` the route takes them all",
    ]),
    (ROUTE, "§      - {name: r, path: /r, upstream: shop, methods: [get, G T, GET, GET]}\n", &[
        "11:55 hosts[0].routes[1].methods[0]: `get` is not a method (did you mean `GET`?)",
        "11:60 hosts[0].routes[1].methods[1]: `G T` is not a method",
        "11:70 hosts[0].routes[1].methods[3]: the method `GET` is given twice; line 11 has it first",
    ]),
    (ROUTE, "§      - {name: r, path: /r, upstream: shop, methods: [GET, TRACE]}\n",
        &["11:54 hosts[0].routes[1].methods: the host refuses TRACE before any route is asked (list TRACE in `request.methods` of the host)"]),
    (ROUTE, "§      - {name: r, upstream: shop, methods: [GET]}\n",
        &["11:9 hosts[0].routes[1]: the route in line 10 takes every method of this path already (change the path, the methods or the protocol of one of them)"]),
    (ROUTE, "§      - {name: a, path: /a, upstream: shop, methods: [GET, PUT]}\n      - {name: b, path: /a/, upstream: shop, methods: [POST, GET]}\n",
        &["12:25 hosts[0].routes[2].path: the route in line 11 takes GET of this path already (change the path, the methods or the protocol of one of them)"]),
    (ROUTE, "§      - {name: a, path: =/a, upstream: shop}\n      - {name: b, path: =/a, upstream: shop}\n",
        &["12:25 hosts[0].routes[2].path: the route in line 11 takes every method of this path already (change the path, the methods or the protocol of one of them)"]),
    (ROUTE, "      - {name: all, upstream: shop, timeouts: {read: 60s}, cache: {}, strip_prefix: 1}\n", &[
        "10:37 hosts[0].routes[0].timeouts: not supported yet (remove `timeouts`)",
        "10:60 hosts[0].routes[0].cache: not supported yet (remove `cache`)",
        "10:85 hosts[0].routes[0].strip_prefix: expected true or false, found `1`",
    ]),
];

/// Section `upstreams`.
#[rustfmt::skip]
const UPSTREAMS: &[Case] = &[
    (UPSTREAMS_KEY, "upstreams: []\nmore:\n", &[
        "10:31 hosts[0].routes[0].upstream: there is no upstream `shop`",
        "11:12 upstreams: expected a map, found a list",
        "12:1 more: unknown key (the keys here are version, runtime, admin, log, cloudflare, tls, listeners, hosts, upstreams, tracing)",
    ]),
    (UPSTREAMS_KEY, "§  a b: {servers: [\"127.0.0.1:1\"]}\n",
        &["12:3 upstreams.\"a b\": `a b` cannot be a label in metrics (use up to 64 letters, digits, `-`, `_` and `.`)"]),
    (SERVERS, "", &["12:9 upstreams.shop.servers: missing"]),
    (SERVERS, "servers: []", &["12:19 upstreams.shop.servers: the list is empty; it needs at least one server"]),
    (SERVERS, "servers: \"127.0.0.1:9000\"",
        &["12:19 upstreams.shop.servers: expected a list, found `127.0.0.1:9000`"]),
    (SERVERS, "servers: [\"127.0.0.1\", \":9000\", \"::1:9000\", \"[::1]\", \"127.0.0.1:0\", \"127.0.0.1:+1\", \"http://127.0.0.1:9000\", \"unix:\", \"unix:app.sock\", 9000]", &[
        "12:20 upstreams.shop.servers[0]: `127.0.0.1` is not a server (write host:port, [v6]:port or unix:/path)",
        "12:33 upstreams.shop.servers[1]: `:9000` is not a server (write host:port, [v6]:port or unix:/path)",
        "12:42 upstreams.shop.servers[2]: `::1:9000` is not a server (write host:port, [v6]:port or unix:/path)",
        "12:54 upstreams.shop.servers[3]: `[::1]` is not a server (write host:port, [v6]:port or unix:/path)",
        "12:63 upstreams.shop.servers[4]: `127.0.0.1:0` is not a server (write host:port, [v6]:port or unix:/path)",
        "12:78 upstreams.shop.servers[5]: `127.0.0.1:+1` is not a server (write host:port, [v6]:port or unix:/path)",
        "12:94 upstreams.shop.servers[6]: `http://127.0.0.1:9000` is not a server (write host:port, [v6]:port or unix:/path)",
        "12:119 upstreams.shop.servers[7]: `unix:` has no absolute path (write unix:/run/app.sock)",
        "12:128 upstreams.shop.servers[8]: `unix:app.sock` has no absolute path (write unix:/run/app.sock)",
        "12:145 upstreams.shop.servers[9]: `9000` is not a server (write host:port, [v6]:port or unix:/path)",
    ]),
    (SERVERS, "servers: [{address: \"127.0.0.1:9000\", weight: 2}]",
        &["12:20 upstreams.shop.servers[0]: a server with a weight is not supported yet (write the address alone: \"127.0.0.1:9000\")"]),
    (SERVERS, "servers: [\"nowhere.internal:80\"]",
        &["12:20 upstreams.shop.servers[0]: cannot resolve `nowhere.internal:80`: no such name"]),
    (SERVERS, "servers: [\"127.0.0.1:9000\", \"127.0.0.1:9000\"]",
        &["12:38 upstreams.shop.servers[1]: the server `127.0.0.1:9000` is given twice; line 12 has it first"]),
    (SERVERS, "§, balance: round-robin",
        &["12:48 upstreams.shop.balance: expected round_robin, found `round-robin` (did you mean `round_robin`?)"]),
    (SERVERS, "§, balance: least_requests",
        &["12:48 upstreams.shop.balance: `least_requests` is not supported yet (write balance: round_robin)"]),
    (SERVERS, "§, balance: random",
        &["12:48 upstreams.shop.balance: `random` is not supported yet (write balance: round_robin)"]),
    (SERVERS, "§, balance: \"hash(header:X)\"",
        &["12:48 upstreams.shop.balance: `hash(header:X)` is not supported yet (write balance: round_robin)"]),
    (SERVERS, "§, balance: best", &["12:48 upstreams.shop.balance: expected round_robin, found `best`"]),
    (SERVERS, "§, timeouts: {connect: 3, read: 0s, write: x, total: 1s}", &[
        "12:59 upstreams.shop.timeouts.connect: `3` has no unit (write 3s for seconds)",
        "12:68 upstreams.shop.timeouts.read: a time-out of zero would refuse everything (write 10s, for instance)",
        "12:79 upstreams.shop.timeouts.write: `x` is not a length of time (write 10s, 250ms, 5m or 1h)",
        "12:82 upstreams.shop.timeouts.total: unknown key (the keys here are connect, read, write, idle)",
    ]),
    (SERVERS, "§, protocol: http2, tls: {}, retries: {attempts: 2}, health: {}, ejection: {failures: 5}, max_requests: 1", &[
        "12:39 upstreams.shop.protocol: not supported yet (remove `protocol`)",
        "12:56 upstreams.shop.tls: not supported yet (remove `tls`)",
        "12:65 upstreams.shop.retries: not supported yet (remove `retries`)",
        "12:89 upstreams.shop.health: not supported yet (remove `health`)",
        "12:101 upstreams.shop.ejection: not supported yet (remove `ejection`)",
        "12:126 upstreams.shop.max_requests: not supported yet (remove `max_requests`)",
    ]),
];

#[test]
fn every_mistake_in_the_root_and_the_small_sections_is_named() {
    check(THE_SMALL_SECTIONS);
}

#[test]
fn every_mistake_in_cloudflare_is_named() {
    check(CLOUDFLARE);
}

#[test]
fn every_mistake_in_listeners_is_named() {
    check(LISTENERS);
}

#[test]
fn every_mistake_in_hosts_is_named() {
    check(HOSTS);
}

#[test]
fn every_mistake_in_policies_is_named() {
    check(POLICIES);
}

#[test]
fn access_policies() {
    check(ACCESS_POLICIES);
}

#[test]
fn every_mistake_about_visitors_certificates_is_named() {
    check(CERTIFICATES);
}

#[test]
fn every_mistake_in_routes_is_named() {
    check(ROUTES);
}

#[test]
fn every_mistake_in_upstreams_is_named() {
    check(UPSTREAMS);
}

#[test]
fn a_certificate_that_nobody_would_see_is_refused() {
    let other = "  - name: other
    hostnames: [other.example.com]
    certificate: {chain: shop.pem, key: nowhere.key}
    origin_pull: {mode: off}
    routes: [{name: all, respond: {status: 404}}]
upstreams:
";
    let text = with(&with(MINIMAL, UPSTREAMS_KEY, other), ADDRESS, &format!("{ADDRESS}, hosts: [shop]"));
    let plain = with(&text, LISTENER_END, "shop]}\n  - {name: http, address: 0.0.0.0:80, protocol: http}\n");
    for (text, line) in [(text, 13), (plain, 14)] {
        let expected = [format!("{line}:5 hosts[1].certificate"), format!("{line}:41 hosts[1].certificate.key")];
        assert_eq!(places(wrong(&text).list()), expected);
    }
}

/// A program of the kernel's has 4096 instructions at most; `auto` goes without, `require` is told.
#[test]
fn a_kernel_filter_that_the_networks_do_not_fit_in_is_refused() {
    let networks: Vec<_> = (0..1100).map(|index| format!("10.{}.{}.0/25", index / 256, index % 256)).collect();
    let sources = |filter| format!("{ADDRESS}, kernel_filter: {filter}, sources: [{}]", networks.join(", "));
    right(&with(MINIMAL, ADDRESS, &sources("auto")));
    let problems = wrong(&with(MINIMAL, ADDRESS, &sources("require")));
    let [problem] = problems.list() else { panic!("{problems}") };
    assert_eq!(place(problem), "3:56 listeners[0].kernel_filter");
    assert!(problem.message.contains(" instructions, and the kernel takes 4096"), "{problems}");
    assert_eq!(problem.help.as_deref(), Some("list fewer `sources`, or write kernel_filter: auto"));

    let extra = format!("cloudflare: {{ranges: {{extra: [{}]}}}}\nlisteners:\n", networks.join(", "));
    let text = with(&with(MINIMAL, ADDRESS, &format!("{ADDRESS}, kernel_filter: require")), "listeners:\n", &extra);
    assert_eq!(places(wrong(&text).list()), ["4:56 listeners[0].kernel_filter"]);
}
