//! Where a client stands in its frames of HTTP/2 (RFC 9113 section 4.1): whether it has begun something that it has to finish in time.
//!
//! A codec waits for the end of a frame, and of a header block, for as long as it takes.

/// Bytes of a frame's head: length, type, flags, stream.
const HEAD: usize = 9;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PUSH_PROMISE: u8 = 5;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

/// The frames of one client, as far as their bytes have come.
#[derive(Debug)]
pub(crate) struct Frames {
    /// The head of the frame that has begun.
    head: [u8; HEAD],
    /// How many bytes of it have come.
    known: usize,
    /// Bytes of its payload that have not come.
    left: usize,
    /// Whether a header block waits for its end.
    block: bool,
}

impl Frames {
    /// Begins behind this many bytes, which are no frame.
    pub(crate) fn after(preface: usize) -> Self {
        Self { head: [0; HEAD], known: HEAD, left: preface, block: false }
    }

    /// Follows the bytes that have come.
    pub(crate) fn follow(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.known < HEAD {
                let taken = bytes.len().min(HEAD - self.known);
                self.head[self.known..self.known + taken].copy_from_slice(&bytes[..taken]);
                self.known += taken;
                bytes = &bytes[taken..];
                if self.known == HEAD {
                    self.begin();
                }
            }
            let taken = bytes.len().min(self.left);
            self.left -= taken;
            bytes = &bytes[taken..];
            if self.known == HEAD && self.left == 0 {
                self.known = 0;
            }
        }
    }

    fn begin(&mut self) {
        let [high, middle, low, kind, flags, ..] = self.head;
        self.left = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        if matches!(kind, HEADERS | PUSH_PROMISE | CONTINUATION) {
            self.block = flags & END_HEADERS == 0;
        }
    }

    /// Whether something has begun that has to end: any frame but DATA, whose pace is that of its body, or a header block.
    pub(crate) fn is_open(&self) -> bool {
        let is_data = self.known == HEAD && self.head[3] == DATA;
        self.block || self.known > 0 && !is_data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
        let length = u8::try_from(payload).unwrap_or(u8::MAX);
        [&[0, 0, length, kind, flags, 0, 0, 0, 1][..], &vec![kind; usize::from(length)]].concat()
    }

    #[test]
    fn what_has_begun_is_open_until_its_last_byte() {
        let preface = vec![b'P'; 24];
        let settings = frame(4, 0, 6);
        let head = frame(HEADERS, 0, 10);
        let more = frame(CONTINUATION, 0, 0);
        let end = frame(CONTINUATION, END_HEADERS, 3);
        let whole = frame(HEADERS, END_HEADERS, 20);
        let data = frame(DATA, 1, 200);
        // What is open after each part, and inside of it.
        let parts: [(&[u8], bool, bool); 7] = [
            (&preface, false, false),
            (&settings, false, true),
            (&head, true, true),
            (&more, true, true),
            (&end, false, true),
            (&whole, false, true),
            (&data, false, false),
        ];
        let (mut at_once, mut by_byte) = (Frames::after(24), Frames::after(24));
        for (part, open_after, open_inside) in parts {
            at_once.follow(part);
            assert_eq!(at_once.is_open(), open_after, "{part:?}");
            for (at, byte) in part.iter().enumerate() {
                by_byte.follow(&[*byte]);
                let expected = match at + 1 {
                    all if all == part.len() => open_after,
                    // Which frame it is shows with its last byte.
                    1..HEAD if part[3] == DATA => true,
                    _ => open_inside,
                };
                assert_eq!(by_byte.is_open(), expected, "byte {at} of {part:?}");
            }
        }
        let mut all = Frames::after(24);
        all.follow(&[&preface[..], &settings, &head, &more, &end, &whole, &data, &settings[..4]].concat());
        assert!(all.is_open());
        all.follow(&settings[4..]);
        assert!(!all.is_open());
    }
}
