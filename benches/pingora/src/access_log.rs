//! A line for each request in the combined format, written as nginx writes it: one call of the system a line, the time made text once a
//! second.

use pingora::proxy::Session;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use time::OffsetDateTime;
use time::format_description::StaticFormatDescription;
use time::macros::format_description;

const FORMAT: StaticFormatDescription =
    format_description!("[day]/[month repr:short]/[year]:[hour]:[minute]:[second] +0000");

/// The file, with what lines are made of.
pub(crate) struct AccessLog(Mutex<Lines>);

struct Lines {
    file: File,
    /// The second since 1970 that `stamp` says.
    second: i64,
    stamp: String,
    line: Vec<u8>,
}

impl AccessLog {
    /// A new and empty file.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        Ok(Self(Mutex::new(Lines { file: File::create(path)?, second: 0, stamp: String::new(), line: Vec::new() })))
    }

    /// Writes the line of a request that has ended. A line that cannot be written is told on standard error.
    pub(crate) fn note(&self, session: &Session) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = lines.write(session) {
            eprintln!("bare-pingora: the access log: {error}");
        }
    }
}

impl Lines {
    fn write(&mut self, session: &Session) -> io::Result<()> {
        self.follow_the_clock()?;
        let request = session.req_header();
        let field = |name: &str| request.headers.get(name).map_or(&b"-"[..], |value| value.as_bytes());
        let status = session.response_written().map_or(0, |response| response.status.as_u16());
        self.line.clear();
        match session.client_addr().and_then(|address| address.as_inet()) {
            Some(address) => write!(self.line, "{}", address.ip())?,
            None => self.line.push(b'-'),
        }
        write!(self.line, " - - [{}] \"{} ", self.stamp, request.method)?;
        self.line.extend_from_slice(request.raw_path());
        write!(self.line, " {:?}\" {status} {} \"", request.version, session.body_bytes_sent())?;
        self.line.extend_from_slice(field("referer"));
        self.line.extend_from_slice(b"\" \"");
        self.line.extend_from_slice(field("user-agent"));
        self.line.extend_from_slice(b"\"\n");
        self.file.write_all(&self.line)
    }

    fn follow_the_clock(&mut self) -> io::Result<()> {
        let now = OffsetDateTime::now_utc();
        if now.unix_timestamp() != self.second {
            self.second = now.unix_timestamp();
            self.stamp = now.format(FORMAT).map_err(io::Error::other)?;
        }
        Ok(())
    }
}
