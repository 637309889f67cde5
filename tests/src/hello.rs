//! ClientHellos up to TLS 1.2 written by hand, for what no client library would send, and what a server says to them.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::{Duration, timeout},
};

use crate::{client::connect, stage::cloudflare};

/// A ClientHello. As it stands a server with an ECDSA certificate answers it.
#[derive(Debug, Clone)]
pub struct Hello {
    /// The version, as the number of SSL and TLS has it: TLS 1.2 is 3.3.
    pub version: [u8; 2],
    /// Cipher suites by number.
    pub suites: Vec<u16>,
    /// Compression methods: 0 is none, 1 is DEFLATE.
    pub compressions: Vec<u8>,
    /// Extensions by number.
    pub extensions: Vec<(u16, Vec<u8>)>,
}

impl Hello {
    /// Offers one sound suite to a server of this name, whatever the bytes of the name are.
    pub fn to(name: &[u8]) -> Self {
        let server_name = counted(2, &[&[0], &counted(2, name)[..]].concat());
        Self {
            version: [3, 3],
            suites: vec![ECDHE_ECDSA_AES128_GCM],
            compressions: vec![0],
            extensions: vec![
                (0, server_name),
                (10, counted(2, &[0, 29, 0, 23])),
                (11, vec![1, 0]),
                (13, counted(2, &[4, 3, 8, 4, 4, 1])),
                (23, Vec::new()),
            ],
        }
    }

    /// With this version instead.
    pub fn version(self, version: [u8; 2]) -> Self {
        Self { version, ..self }
    }

    /// With these suites instead.
    pub fn suites(self, suites: &[u16]) -> Self {
        Self { suites: suites.to_vec(), ..self }
    }

    /// With these compression methods instead.
    pub fn compressions(self, methods: &[u8]) -> Self {
        Self { compressions: methods.to_vec(), ..self }
    }

    /// With one extension more.
    pub fn extension(mut self, number: u16, body: &[u8]) -> Self {
        self.extensions.push((number, body.to_vec()));
        self
    }

    /// The handshake message (RFC 5246, section 7.4.1.2).
    pub fn message(&self) -> Vec<u8> {
        let suites: Vec<u8> = self.suites.iter().flat_map(|suite| suite.to_be_bytes()).collect();
        let extension = |(number, body): &(u16, Vec<u8>)| [&number.to_be_bytes(), &counted(2, body)[..]].concat();
        let extensions: Vec<u8> = self.extensions.iter().flat_map(extension).collect();
        let parts = [
            &self.version[..],
            &[0x42; 32],
            &[0],
            &counted(2, &suites),
            &counted(1, &self.compressions),
            &counted(2, &extensions),
        ];
        [&[1], &counted(3, &parts.concat())[..]].concat()
    }

    /// The message in one record.
    pub fn record(&self) -> Vec<u8> {
        records(&self.message(), usize::MAX)
    }
}

/// The only suite of [`Hello::to`].
pub const ECDHE_ECDSA_AES128_GCM: u16 = 0xc02b;

/// A handshake message in records of so many bytes each.
pub fn records(message: &[u8], length: usize) -> Vec<u8> {
    message.chunks(length).flat_map(|part| [&[22, 3, 1], &counted(2, part)[..]].concat()).collect()
}

/// Bytes with their length before them, in this many bytes.
fn counted(width: usize, bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
    [&length[4 - width..], bytes].concat()
}

/// What a server says to a ClientHello.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// It goes on.
    Hello(ServerHello),
    /// A fatal alert of this number (RFC 8446, section 6).
    Alert(u8),
    /// It closed without a word.
    Nothing,
}

/// The ServerHello of TLS 1.2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerHello {
    /// The suite.
    pub suite: u16,
    /// The compression method.
    pub compression: u8,
    /// The extensions, by number.
    pub extensions: Vec<u16>,
}

/// Sends bytes from Cloudflare's address, and reads the beginning of the answer.
pub async fn greet(at: SocketAddr, bytes: &[u8]) -> Said {
    let mut stream = connect(Some(cloudflare()), at).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut head = [0; 5];
    let read = timeout(ANSWER, stream.read_exact(&mut head)).await.unwrap();
    if read.is_err() {
        return Said::Nothing;
    }
    let mut body = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
    stream.read_exact(&mut body).await.unwrap();
    match (head[0], body[0]) {
        (21, 2) => Said::Alert(body[1]),
        (22, 2) => Said::Hello(server_hello(&body[4..])),
        _ => panic!("neither alert nor ServerHello: {head:?} {body:?}"),
    }
}

const ANSWER: Duration = Duration::from_secs(10);

fn server_hello(body: &[u8]) -> ServerHello {
    let number = |at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
    // Version and random come before the session id, which may be empty.
    let suite = 35 + usize::from(body[34]);
    let mut extensions = Vec::new();
    let mut at = suite + 5;
    while at + 4 <= suite + 5 + usize::from(number(suite + 3)) {
        extensions.push(number(at));
        at += 4 + usize::from(number(at + 2));
    }
    ServerHello { suite: number(suite), compression: body[suite + 2], extensions }
}
