//! A log that never makes a request wait: lines go through a bounded queue to a thread of their own, and what does not fit is counted.

use crossbeam_channel::{Receiver, Sender, bounded};
use prometheus::IntCounter;
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

#[derive(Debug)]
enum Item {
    Line(Vec<u8>),
    /// Answered when everything before it is written.
    Mark(Sender<()>),
}

impl Sink {
    /// Starts the writer over `out`; `dropped` counts the lines that found the queue full or the output gone.
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

fn write_all(waiting: &Receiver<Item>, mut out: Box<dyn Write + Send>, lost: &IntCounter) {
    let mut batch = Vec::with_capacity(BATCH);
    while let Ok(first) = waiting.recv() {
        let mut lines = 0;
        let mut mark = None;
        let mut next = Some(first);
        while let Some(item) = next.take() {
            match item {
                Item::Line(line) => {
                    batch.extend_from_slice(&line);
                    lines += 1;
                }
                Item::Mark(done) => mark = Some(done),
            }
            if batch.len() < BATCH && mark.is_none() {
                next = waiting.try_recv().ok();
            }
        }
        if out.write_all(&batch).and_then(|()| out.flush()).is_err() {
            lost.inc_by(lines);
        }
        batch.clear();
        match mark {
            // Whoever asked may have stopped waiting.
            Some(done) => drop(done.send(())),
            None if waiting.is_empty() => std::thread::sleep(REST),
            None => {}
        }
    }
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
            sink.send(vec![b'x'; LENGTH]);
        }
        assert!(dropped.get() > 0);
        drop(release);
        assert!(sink.settle(Duration::from_secs(10)));
        assert_eq!((written.lock().unwrap().len() / LENGTH) as u64 + dropped.get(), sent);
    }
}
