//! Which host a request names, and what of it goes on to the upstream.

use super::*;

/// Two hosts: exact names and an address at 0, a wildcard and an exact name inside it at 1 and 2.
fn hosts() -> Rules {
    rules(vec![
        open_host("shop", &["shop.example.com", "127.0.0.1", "[::1]", "localhost"]),
        open_host("wild", &["*.example.com"]),
        open_host("api", &["api.example.com"]),
    ])
}

#[test]
fn a_host_is_found_by_its_normal_name() {
    let table = [
        ("shop.example.com", Ok(0)),
        ("SHOP.Example.COM", Ok(0)),
        ("shop.example.com.", Ok(0)),
        ("shop.example.com:443", Ok(0)),
        ("shop.example.com.:8443", Ok(0)),
        ("127.0.0.1", Ok(0)),
        ("127.0.0.1:8443", Ok(0)),
        ("[::1]", Ok(0)),
        ("[0:0::1]:8443", Ok(0)),
        ("localhost", Ok(0)),
        ("blog.example.com", Ok(1)),
        ("BLOG.example.com.:1", Ok(1)),
        ("api.example.com", Ok(2)),
        ("a.b.example.com", Err(Reason::HostUnknown)),
        ("example.com", Err(Reason::HostUnknown)),
        ("shop.example.com.example.net", Err(Reason::HostUnknown)),
        ("shop.example.net", Err(Reason::HostUnknown)),
        ("xshop.example.org", Err(Reason::HostUnknown)),
        ("127.0.0.2", Err(Reason::HostUnknown)),
        ("[::2]", Err(Reason::HostUnknown)),
        ("", Err(Reason::HostMalformed)),
        (".", Err(Reason::HostMalformed)),
        (".example.com", Err(Reason::HostMalformed)),
        ("shop..example.com", Err(Reason::HostMalformed)),
        ("shop.example.com..", Err(Reason::HostMalformed)),
        ("*.example.com", Err(Reason::HostMalformed)),
        ("-shop.example.com", Err(Reason::HostMalformed)),
        ("shop.example.com:", Err(Reason::HostMalformed)),
        ("shop.example.com:65536", Err(Reason::HostMalformed)),
        ("shop.example.com:+80", Err(Reason::HostMalformed)),
        ("shop.example.com:80:80", Err(Reason::HostMalformed)),
        ("user@shop.example.com", Err(Reason::HostMalformed)),
        ("shop.example.com/", Err(Reason::HostMalformed)),
        ("shop.example.com,blog.example.com", Err(Reason::HostMalformed)),
        ("shop.example.com blog.example.com", Err(Reason::HostMalformed)),
        ("shop.example.com%00", Err(Reason::HostMalformed)),
        ("::1", Err(Reason::HostMalformed)),
        ("[::1", Err(Reason::HostMalformed)),
        ("[::1]x", Err(Reason::HostMalformed)),
        ("[shop.example.com]", Err(Reason::HostMalformed)),
        ("shöp.example.com", Err(Reason::HostMalformed)),
    ];
    for (name, expected) in table {
        // By the Host field of HTTP/1.1, by `:authority` of HTTP/2, and by both.
        let arrivals = [
            Arrival::good().to(name),
            Arrival::good().without("host").authority(name),
            Arrival::good().to(name).authority(name),
        ];
        for arrival in arrivals {
            let ruling = arrival.ruling(&hosts());
            let found = ruling.outcome.map(|_| ruling.host.unwrap()).map_err(|denial| denial.reason);
            assert_eq!(found, expected, "{name} {:?}", arrival.authority);
        }
    }
    assert_eq!(Arrival::bare().with("host", b"shop\xff").outcome(&hosts()), Err(Reason::HostMalformed));
}

#[test]
fn a_request_names_one_host() {
    let shop = || Arrival::good().to("shop.example.com");
    let table = [
        ("none", Arrival::good().without("host"), Err(Reason::HostMissing)),
        ("two that agree", shop().with("host", "shop.example.com"), Err(Reason::HostMalformed)),
        ("two that differ", shop().with("host", "api.example.com"), Err(Reason::HostMalformed)),
        ("agreeing authority", shop().authority("SHOP.example.com"), Ok(())),
        ("authority of another host", shop().authority("api.example.com"), Err(Reason::HostMalformed)),
        ("authority with a port", shop().authority("shop.example.com:443"), Err(Reason::HostMalformed)),
        ("authority with a final dot", shop().authority("shop.example.com."), Err(Reason::HostMalformed)),
        ("empty authority", shop().authority(""), Err(Reason::HostMalformed)),
        (
            "authority beside an empty field",
            Arrival::good().to("").authority("shop.example.com"),
            Err(Reason::HostMalformed),
        ),
    ];
    for (name, arrival, expected) in table {
        assert_eq!(arrival.outcome(&hosts()), expected, "{name}");
    }
}

#[test]
fn the_host_goes_on_as_it_was_judged() {
    let table = [
        ("SHOP.Example.COM", "shop.example.com"),
        ("shop.example.com.:0443", "shop.example.com:443"),
        ("[0:0::1]:8443", "[::1]:8443"),
    ];
    for (given, expected) in table {
        for arrival in [Arrival::good().to(given), Arrival::good().without("host").authority(given)] {
            let headers = arrival.forwarded(&hosts());
            assert_eq!(values(&headers, "host"), [expected]);
            assert_eq!(values(&headers, "x-forwarded-host"), [expected]);
        }
    }
}

#[test]
fn a_listener_serves_its_own_hosts_only() {
    let mut served = hosts();
    served.listener_hosts.insert("https".into(), vec![1]);
    let table = [
        ("https", "blog.example.com", Ok(())),
        ("https", "shop.example.com", Err(Reason::HostUnknown)),
        // The wildcard's host does not answer for a name that another host has.
        ("https", "api.example.com", Err(Reason::HostUnknown)),
        ("other", "shop.example.com", Ok(())),
        ("other", "blog.example.com", Ok(())),
    ];
    for (listener, name, expected) in table {
        let mut arrival = Arrival::good().to(name);
        arrival.connection.listener = listener.into();
        assert_eq!(arrival.outcome(&served), expected, "{listener} {name}");
    }
}
