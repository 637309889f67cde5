//! A log that never makes a request wait: lines go through a bounded queue to a thread of their own, and what does not fit is counted.

use crossbeam_channel::{Receiver, Sender, bounded};
use prometheus::IntCounter;
use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

/// Lines that may wait. A usual line has 800 bytes and none much more than 6 KB, whatever a client sends: 6 MB, and never 50 MB.
const QUEUE: usize = 8_192;

/// Bytes gathered before a write.
const BATCH: usize = 64 * 1024;

/// Pause after a batch: while the writer rests, a new line wakes nobody, which spares a system call a request.
const REST: Duration = Duration::from_millis(10);

/// The sending end of a log; cheap to clone.
#[derive(Debug, Clone)]
pub struct Sink {
    queue: Sender<Item>,
    dropped: IntCounter,
}

enum Item {
    Line(Vec<u8>),
    /// Answered when everything before it is written.
    Mark(Sender<()>),
    /// Takes what comes after it.
    Output(Box<dyn Write + Send>),
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Item").finish_non_exhaustive()
    }
}

impl Sink {
    /// Starts the writer over `out`, which must not gather by itself; `dropped` counts the lines that found the queue full or the output
    /// gone.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(name: &str, out: Box<dyn Write + Send>, dropped: IntCounter) -> io::Result<Self> {
        let (queue, waiting) = bounded(QUEUE);
        let lost = dropped.clone();
        std::thread::Builder::new().name(name.to_owned()).spawn(move || write_all(&waiting, out, &lost))?;
        Ok(Self { queue, dropped })
    }

    /// Queues one line, its newline included.
    pub fn send(&self, line: Vec<u8>) {
        if self.queue.try_send(Item::Line(line)).is_err() {
            self.dropped.inc();
        }
    }

    /// Lets what is queued from now on go to another output, as after a rotation; whether the queue had room for it within `limit`.
    #[must_use]
    pub fn redirect(&self, out: Box<dyn Write + Send>, limit: Duration) -> bool {
        self.queue.send_timeout(Item::Output(out), limit).is_ok()
    }

    /// Waits until what was queued before is written, `limit` at most; whether it was.
    #[must_use]
    pub fn settle(&self, limit: Duration) -> bool {
        let (done, written) = bounded(1);
        self.queue.send_timeout(Item::Mark(done), limit).is_ok() && written.recv_timeout(limit).is_ok()
    }
}

impl Write for Sink {
    /// Takes the whole of `line` as one line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.send(line.to_vec());
        Ok(line.len())
    }

    /// Nothing to do: nobody waits for a log.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_all(waiting: &Receiver<Item>, out: Box<dyn Write + Send>, lost: &IntCounter) {
    let mut lines = Lines { out, torn: Vec::new() };
    let mut batch = Vec::with_capacity(BATCH);
    while let Ok(first) = waiting.recv() {
        let (mut mark, mut replacement) = (None, None);
        let mut next = Some(first);
        while let Some(item) = next.take() {
            match item {
                Item::Line(line) => batch.extend_from_slice(&line),
                Item::Mark(done) => mark = Some(done),
                Item::Output(out) => replacement = Some(out),
            }
            if batch.len() < BATCH && mark.is_none() && replacement.is_none() {
                next = waiting.try_recv().ok();
            }
        }
        lost.inc_by(lines.write(&batch));
        batch.clear();
        if let Some(out) = replacement {
            lines = Lines { out, torn: Vec::new() };
        }
        match mark {
            // Whoever asked may have stopped waiting.
            Some(done) => drop(done.send(())),
            None if waiting.is_empty() => std::thread::sleep(REST),
            None => {}
        }
    }
}

/// An output that takes whole lines: one that broke off half way is finished before others follow.
struct Lines {
    out: Box<dyn Write + Send>,
    /// The rest of the line that broke off.
    torn: Vec<u8>,
}

impl Lines {
    /// Writes what the output takes; how many lines are lost.
    fn write(&mut self, batch: &[u8]) -> u64 {
        let finished = push(&mut *self.out, &self.torn);
        self.torn.drain(..finished);
        let sent = if self.torn.is_empty() { push(&mut *self.out, batch) } else { 0 };
        let left = &batch[sent..];
        let is_torn = sent > 0 && batch[sent - 1] != b'\n';
        let rest =
            if is_torn { left.iter().position(|byte| *byte == b'\n').map_or(left.len(), |end| end + 1) } else { 0 };
        self.torn.extend_from_slice(&left[..rest]);
        left[rest..].iter().filter(|byte| **byte == b'\n').count() as u64
    }
}

/// Writes until the output takes no more; how many bytes it took.
fn push(out: &mut dyn Write, bytes: &[u8]) -> usize {
    let mut sent = 0;
    while sent < bytes.len() {
        match out.write(&bytes[sent..]) {
            Ok(0) => break,
            Ok(taken) => sent += taken,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    sent
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::sync::{Arc, Mutex};

    /// Writes only while the other end of its channel lives and says so.
    struct Gated(mpsc::Receiver<()>, Arc<Mutex<Vec<u8>>>);

    impl Write for Gated {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            self.1.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_blocked_output_drops_lines_and_blocks_nobody() {
        let dropped = IntCounter::new("dropped", "lines").unwrap();
        let (release, gate) = mpsc::channel();
        let written = Arc::new(Mutex::new(Vec::new()));
        let sink = Sink::start("test", Box::new(Gated(gate, Arc::clone(&written))), dropped.clone()).unwrap();
        let sent = QUEUE as u64 * 3;
        // A batch holds few lines of this length, and the queue the rest: most find it full.
        const LENGTH: usize = 256;
        for _ in 0..sent {
            sink.send([[b'x'; LENGTH - 1].as_slice(), b"\n"].concat());
        }
        assert!(dropped.get() > 0);
        drop(release);
        assert!(sink.settle(Duration::from_secs(10)));
        assert_eq!((written.lock().unwrap().len() / LENGTH) as u64 + dropped.get(), sent);
    }

    /// A disk with room for so many bytes.
    struct Disk(Arc<Mutex<(usize, Vec<u8>)>>);

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let (room, written) = &mut *self.0.lock().unwrap();
            if *room == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let taken = bytes.len().min(*room);
            *room -= taken;
            written.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_that_a_full_disk_tore_is_finished_first() {
        let line = |number: u8| [b'0' + number; 9].iter().chain(b"\n").copied().collect::<Vec<u8>>();
        for room in 0..=40 {
            let dropped = IntCounter::new("dropped", "lines").unwrap();
            let disk = Arc::new(Mutex::new((room, Vec::new())));
            let sink = Sink::start("test", Box::new(Disk(Arc::clone(&disk))), dropped.clone()).unwrap();
            for number in 0..3 {
                sink.send(line(number));
                assert!(sink.settle(Duration::from_secs(10)));
            }
            disk.lock().unwrap().0 = usize::MAX;
            sink.send(line(3));
            assert!(sink.settle(Duration::from_secs(10)));
            let written = disk.lock().unwrap().1.clone();
            let mut expected: Vec<u8> = (0..3).take(room.div_ceil(10)).flat_map(line).collect();
            expected.extend(line(3));
            assert_eq!(String::from_utf8(written).unwrap(), String::from_utf8(expected).unwrap(), "{room}");
            assert_eq!(dropped.get(), 3 - room.div_ceil(10).min(3) as u64, "{room}");
        }
    }

    #[test]
    fn a_new_output_begins_with_a_whole_line() {
        let dropped = IntCounter::new("dropped", "lines").unwrap();
        let (old, new) = ([5, 99].map(|room| Arc::new(Mutex::new((room, Vec::new()))))).into();
        let sink = Sink::start("test", Box::new(Disk(Arc::clone(&old))), dropped).unwrap();
        sink.send(b"before it\n".to_vec());
        assert!(sink.redirect(Box::new(Disk(Arc::clone(&new))), Duration::from_secs(10)));
        sink.send(b"after it\n".to_vec());
        assert!(sink.settle(Duration::from_secs(10)));
        assert_eq!((&old.lock().unwrap().1[..], &new.lock().unwrap().1[..]), (&b"befor"[..], &b"after it\n"[..]));
    }
}
