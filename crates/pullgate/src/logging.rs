//! The two logs: the process's own on standard error, the access log where the configuration says.

use crate::world::System;
use env_logger::{Builder, Target};
use log::kv::{Key, Value, VisitSource};
use log::{LevelFilter, Record};
use pullgate_config::{AccessLog as Destination, Log, LogFormat, LogLevel};
use pullgate_metrics::{AccessLog, Form, Metrics, Sink};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// The access log of a gateway with its sink; none where it is off.
pub(crate) fn access_log(log: &Log, system: &System, metrics: &Metrics) -> io::Result<Option<(AccessLog, Sink)>> {
    let out: Box<dyn Write + Send> = match &log.access {
        Destination::Off => return Ok(None),
        Destination::Stdout => Box::new(unbuffered(&io::stdout())?),
        Destination::File(path) => Box::new(append_to(&system.path(path))?),
    };
    let sink = Sink::start("access-log", out, metrics.log_dropped("access"))?;
    let form = match log.format {
        LogFormat::Json => Form::Json,
        LogFormat::Text => Form::Text,
    };
    Ok(Some((AccessLog::new(sink.clone(), form, log.redact_query.clone()), sink)))
}

/// Starts the process log. It never makes anybody wait: lines that standard error does not take are dropped and counted.
pub(crate) fn start(log: &Log, metrics: &Metrics) -> io::Result<Sink> {
    let sink = Sink::start("process-log", Box::new(unbuffered(&io::stderr())?), metrics.log_dropped("process"))?;
    let json = log.format == LogFormat::Json;
    let mut builder = Builder::new();
    // Libraries quote what passes through them, credentials included, from `debug` on: they have a word in warnings alone. What the four say
    // of a single request stands in the access log, with the request beside it. The level itself is the log crate's own, which a reload can
    // change.
    builder.filter_level(LevelFilter::Warn).filter_module("pullgate", LevelFilter::Trace);
    for noisy in ["pingora_core", "pingora_proxy", "h2", "rustls"] {
        builder.filter_module(noisy, LevelFilter::Off);
    }
    builder.target(Target::Pipe(Box::new(sink.clone())));
    builder.format(move |out, record| if json { json_line(out, record) } else { text_line(out, record) });
    // A second gateway in one process keeps the first one's log.
    if builder.try_init().is_ok() {
        level(log.level);
    }
    Ok(sink)
}

/// Sets the least severity that is written.
pub(crate) fn level(level: LogLevel) {
    log::set_max_level(filter(level));
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::Error,
        LogLevel::Warn => LevelFilter::Warn,
        LogLevel::Info => LevelFilter::Info,
        LogLevel::Debug => LevelFilter::Debug,
        LogLevel::Trace => LevelFilter::Trace,
    }
}

/// A standard stream without the library's own buffer, which would hide what was not written.
fn unbuffered(stream: &impl AsFd) -> io::Result<File> {
    Ok(File::from(stream.as_fd().try_clone_to_owned()?))
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// How long the queue of a log may take to have room for a new output.
const PATIENCE: Duration = Duration::from_secs(5);

/// An access log that is a file, which a rotation may move away.
#[derive(Debug)]
pub(crate) struct LogFile {
    path: PathBuf,
    sink: Sink,
}

impl LogFile {
    /// The file of an access log; none where it is none.
    pub(crate) fn of(log: &Log, system: &System, sink: &Sink) -> Option<Self> {
        let Destination::File(path) = &log.access else { return None };
        Some(Self { path: system.path(path), sink: sink.clone() })
    }

    /// Opens the path anew: what is logged from now on stands in the file that has this name now.
    fn reopen(&self) -> io::Result<()> {
        let file = append_to(&self.path)?;
        if self.sink.redirect(Box::new(file), PATIENCE) { Ok(()) } else { Err(io::ErrorKind::TimedOut.into()) }
    }

    /// The same, with the outcome in the process log.
    pub(crate) fn reopen_and_tell(&self) {
        match self.reopen() {
            Ok(()) => log::info!("access log opened anew"),
            Err(error) => log::error!("the access log cannot be opened anew and goes where it went: {error}"),
        }
    }
}

fn json_line(out: &mut impl Write, record: &Record<'_>) -> io::Result<()> {
    let mut line = serde_json::Map::new();
    line.insert("timestamp".into(), humantime::format_rfc3339_millis(SystemTime::now()).to_string().into());
    line.insert("level".into(), record.level().as_str().to_ascii_lowercase().into());
    line.insert("target".into(), record.target().into());
    line.insert("message".into(), record.args().to_string().into());
    let mut fields = Fields(Vec::new());
    // The visitor never fails.
    let _ = record.key_values().visit(&mut fields);
    let told = fields.0.into_iter().filter(|(_, value)| !value.is_empty());
    line.extend(told.map(|(name, value)| (name, value.into())));
    serde_json::to_writer(&mut *out, &line)?;
    out.write_all(b"\n")
}

fn text_line(out: &mut impl Write, record: &Record<'_>) -> io::Result<()> {
    let mut fields = Fields(Vec::new());
    // The visitor never fails.
    let _ = record.key_values().visit(&mut fields);
    let plain = |text: String| {
        text.chars()
            .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
            .collect::<String>()
    };
    let time = humantime::format_rfc3339_millis(SystemTime::now());
    write!(out, "{time} {:5} {}", record.level(), plain(record.args().to_string()))?;
    for (name, value) in fields.0 {
        if !value.is_empty() {
            write!(out, " {name}={}", plain(value))?;
        }
    }
    out.write_all(b"\n")
}

struct Fields(Vec<(String, String)>);

impl<'kvs> VisitSource<'kvs> for Fields {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), log::kv::Error> {
        self.0.push((key.to_string(), value.to_string()));
        Ok(())
    }
}
