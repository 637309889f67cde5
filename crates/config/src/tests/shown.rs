//! How problems look.
use super::*;
#[test]
fn smoke() {
    let l = right(MINIMAL);
    eprintln!("{l:#?}");
    let text = "\
version: 2
lisener: 1
listeners:
  - {name: https, address: 8443, kernel_filter: auto, limits: {header_timeout: 10, idle_timeout: 0s, connections: 4}}
  - {name: https, addres: \"[::]:8443\", hosts: [shp]}
hosts:
  - name: shop
    hostnames: [shop.example.com, 127]
    certificat: {chain: shop.pem, key: shop.key}
    origin_pull: {mode: requir, trust: [cloudfare]}
    headers: {set: {Connection: close, X-A: \"{visitor.adress}\"}}
    routes:
      - {name: all, upstream: shp}
      - name: b
        respond: {status: 301}
        methods: [get]
        policies: [{kind: worker}, {kind: proof, x: 1}, {kind: workers, zones: [a b], mode: observ, foo: 1}]
      - name: c
        name: d
        cache: ~
        timeouts: ${NOPE}
upstreams:
  shop: {servers: [\"127.0.0.1:9000\", x, \"nope:80\"], max_requests: null}
tracing: null
";
    eprintln!("{}", wrong(text));
}
