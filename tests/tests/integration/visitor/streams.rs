//! Identity never outlives a request: one connection, hundreds of visitors, and each answer is its own.

use super::*;
use pullgate_tests::client::{Response, streaming};
use std::collections::{HashMap, VecDeque};

/// As many as a connection of HTTP/2 may have open by default.
const VISITORS: usize = 200;

/// Everything that is said of one visitor; every third has an IPv6 address behind a pseudo one, and every other a city and a cookie of two crumbs.
#[derive(Debug)]
struct Identity {
    address: String,
    fields: Vec<(&'static str, String)>,
    /// What the origin has to see, and whether there is such a field at all.
    seen: Vec<(&'static str, Option<String>)>,
}

impl Identity {
    fn of(number: usize) -> Self {
        let (pseudo, with_city) = (number.is_multiple_of(3), number.is_multiple_of(2));
        let address =
            if pseudo { format!("2001:db8::{:x}", number + 1) } else { format!("198.51.100.{}", number % 250) };
        let told = if pseudo { format!("240.0.0.{number}") } else { address.clone() };
        let (ray, country) = (format!("{number:016x}-FRA"), format!("{}{}", letter(number / 26), letter(number)));
        let city = format!("Stra\u{df}e {number}");
        let mut fields = vec![("cf-connecting-ip", told), ("cf-ray", ray.clone()), ("cf-ipcountry", country.clone())];
        if pseudo {
            fields.push(("cf-connecting-ipv6", address.clone()));
        }
        if with_city {
            fields.push(("cf-ipcity", city.clone()));
            fields.push(("cookie", format!("a={number}")));
            fields.push(("cookie", format!("b={number}")));
        }
        let node = if pseudo { format!("\"[{address}]\"") } else { address.clone() };
        let seen = vec![
            ("x-forwarded-for", Some(address.clone())),
            ("cf-connecting-ip", Some(address.clone())),
            ("cf-connecting-ipv6", pseudo.then(|| address.clone())),
            ("cf-ray", Some(ray)),
            ("cf-ipcity", with_city.then_some(city)),
            ("cookie", with_city.then(|| format!("a={number}; b={number}"))),
            ("x-visitor", Some(format!("{address} {country}"))),
            ("forwarded", Some(format!("for={node};proto=https;host=shop.example.com"))),
        ];
        Self { address, fields, seen }
    }

    fn request<B>(&self, body: B) -> http::Request<B> {
        let mut request = http::Request::post("https://shop.example.com/seen").body(body).unwrap();
        for (name, value) in &self.fields {
            request.headers_mut().append(*name, http::HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        request
    }

    /// Compares what the origin saw, field by field and to the byte.
    fn check(&self, answer: &Response) {
        assert_eq!(answer.status, 200, "{self:?}");
        for (name, expected) in &self.seen {
            match expected {
                Some(value) => {
                    assert!(holds(&answer.body, name, value.as_bytes()), "{name}: {self:#?}\n{}", answer.text());
                }
                None => assert!(!names(&answer.body, name), "{name}: {self:#?}\n{}", answer.text()),
            }
        }
    }
}

fn letter(number: usize) -> char {
    char::from(b'A' + u8::try_from(number % 26).unwrap())
}

fn recipe() -> Recipe {
    let keys = "visitor: {features: [location], forwarded: true}\n    headers: {set: {X-Visitor: '{visitor.address} {visitor.country}'}}";
    let hosts = Recipe::default().hosts.replacen("    routes:", &format!("    {keys}\n    routes:"), 1);
    Recipe { hosts, ..Recipe::default() }
}

/// The log tells of each ray who was behind it.
async fn check_log(stage: &Stage, visitors: &[Identity]) {
    let lines = stage.access_lines(visitors.len()).await;
    let logged: HashMap<_, _> =
        lines.iter().map(|line| (line["cf.ray"].as_str().unwrap(), line["client.address"].as_str().unwrap())).collect();
    assert_eq!((lines.len(), logged.len()), (visitors.len(), visitors.len()));
    for visitor in visitors {
        let ray = visitor.fields.iter().find(|(name, _)| *name == "cf-ray").unwrap();
        assert_eq!(logged[ray.1.as_str()], visitor.address);
    }
}

/// All two hundred streams are open, and their requests at the origin, before the first body ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_streams_of_one_connection_have_a_visitor_each() {
    let stage = Stage::with(recipe()).await;
    let client = stage.h2(SHOP).await;
    let visitors: Vec<_> = (0..VISITORS).map(Identity::of).collect();
    let (mut answers, mut bodies) = (Vec::new(), VecDeque::new());
    for visitor in &visitors {
        let (body, sent) = streaming();
        let (client, request) = (client.clone(), visitor.request(sent));
        answers.push(tokio::spawn(async move { client.send_stream(request).await }));
        bodies.push_back(body);
    }
    stage.origin.wait_for(VISITORS).await;
    // The first ends, the last, the second, the last but one, and so on.
    while let Some(mut body) = bodies.pop_front() {
        body.send_data("body".into()).await.unwrap();
        let last = bodies.pop_back();
        drop((body, last));
    }
    for (visitor, answer) in visitors.iter().zip(answers) {
        visitor.check(&answer.await.unwrap().unwrap());
    }
    assert_eq!(stage.origin.ledger().len(), VISITORS);
    check_log(&stage, &visitors).await;
}

/// One after another on one connection to the gateway, which keeps one to the origin.
#[tokio::test]
async fn two_hundred_requests_of_one_connection_have_a_visitor_each() {
    let stage = Stage::with(recipe()).await;
    let mut client = stage.h1(SHOP).await;
    let visitors: Vec<_> = (0..VISITORS).map(Identity::of).collect();
    for visitor in &visitors {
        let body = http_body_util::Full::new(bytes::Bytes::from_static(b"body"));
        visitor.check(&client.send(visitor.request(body)).await.unwrap());
    }
    assert_eq!(stage.origin.connections(), 1);
    check_log(&stage, &visitors).await;
}
