//! What is said over the control socket: one JSON object a line, and listening sockets beside them.

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

/// What a client of the socket asks for, first of all.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub(crate) enum Ask {
    /// Load the configuration again.
    Reload,
    /// Fetch the ranges now.
    RefreshRanges,
    /// Start this program with the configuration's file, and have it take over.
    Upgrade {
        /// The program.
        program: PathBuf,
    },
    /// Hand over the listening sockets: whoever asks is to go on in this process's place.
    Sockets,
}

/// What the running process answers.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub(crate) enum Answer {
    /// The configuration was loaded and is in force.
    Applied {
        /// Its file.
        file: PathBuf,
        /// Its generation.
        generation: u64,
        /// What deserves a look.
        warnings: String,
    },
    /// The ranges were fetched and are in force.
    Refreshed {
        /// `updated` or `unchanged`.
        outcome: String,
    },
    /// Nothing has changed.
    Refused {
        /// Why.
        why: String,
        /// Whether the configuration is to blame.
        configuration: bool,
    },
    /// The sockets follow, one for each label.
    Sockets {
        /// What each is for.
        labels: Vec<String>,
    },
    /// This process finishes what is open and ends.
    Draining,
    /// Another process serves in this one's place.
    Upgraded {
        /// The one that serves.
        process: u32,
        /// The one that drains.
        before: u32,
    },
}

/// What a process that takes over says when it knows how it went.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "tell", rename_all = "snake_case")]
pub(crate) enum Tell {
    /// It serves.
    Serving {
        /// Its number.
        process: u32,
    },
    /// It ends.
    Failed {
        /// Why.
        why: String,
    },
}

/// Bytes of a line: the problems of a large configuration.
const LONGEST_LINE: usize = 4 * 1024 * 1024;

/// Writes one line.
pub(crate) fn send(mut stream: &UnixStream, message: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    stream.write_all(&line)
}

/// Reads one line, and not a byte more: a read beyond it would lose the sockets that come with the next bytes.
pub(crate) fn receive<T: DeserializeOwned>(mut stream: &UnixStream) -> io::Result<T> {
    let mut line = Vec::new();
    let mut byte = [0];
    loop {
        stream.read_exact(&mut byte)?;
        match byte {
            [b'\n'] => return Ok(serde_json::from_slice(&line)?),
            _ if line.len() == LONGEST_LINE => return Err(io::ErrorKind::InvalidData.into()),
            [byte] => line.push(byte),
        }
    }
}

/// Sends one socket, with one byte that carries it (`SCM_RIGHTS`, unix(7)).
pub(crate) fn send_socket(stream: &UnixStream, socket: &TcpListener) -> io::Result<()> {
    let rights = [socket.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&rights));
    match sendmsg(stream, &[IoSlice::new(b"+")], &mut control, SendFlags::NOSIGNAL)? {
        1 => Ok(()),
        _ => Err(io::ErrorKind::WriteZero.into()),
    }
}

/// Receives one socket.
pub(crate) fn receive_socket(stream: &UnixStream) -> io::Result<TcpListener> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let received = recvmsg(stream, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut sockets = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(rights) => Some(rights),
        _ => None,
    });
    match (received.bytes, sockets.next().and_then(|mut rights| rights.next())) {
        (1, Some(socket)) => Ok(TcpListener::from(socket)),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "no socket came")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]
mod tests {
    use super::*;

    #[test]
    fn sockets_arrive_between_lines() {
        let (one, two) = UnixStream::pair().unwrap();
        let sockets: Vec<TcpListener> = (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let labels: Vec<String> = sockets.iter().map(|socket| socket.local_addr().unwrap().to_string()).collect();
        send(&one, &Answer::Sockets { labels: labels.clone() }).unwrap();
        sockets.iter().for_each(|socket| send_socket(&one, socket).unwrap());
        send(&one, &Answer::Draining).unwrap();
        assert_eq!(receive::<Answer>(&two).unwrap(), Answer::Sockets { labels: labels.clone() });
        for label in labels {
            assert_eq!(receive_socket(&two).unwrap().local_addr().unwrap().to_string(), label);
        }
        assert_eq!(receive::<Answer>(&two).unwrap(), Answer::Draining);
    }

    #[test]
    fn what_is_no_message() {
        let (one, two) = UnixStream::pair().unwrap();
        (&one).write_all(b"{\"ask\":\"everything\"}\nno json\n{\"ask\":\"rel").unwrap();
        assert!(receive::<Ask>(&two).is_err());
        assert!(receive::<Ask>(&two).is_err());
        drop(one);
        assert_eq!(receive::<Ask>(&two).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let (one, two) = UnixStream::pair().unwrap();
        (&one).write_all(b"+").unwrap();
        assert!(receive_socket(&two).is_err());
    }
}
