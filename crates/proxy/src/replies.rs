//! What the HTTP/2 libraries refuse by themselves, read off the frames that they send: no callback tells of it.
//!
//! A head that breaks the protocol is a stream reset (RFC 9113 section 8.1.1), frames that do are a GOAWAY, and a head that is too large
//! or names two hosts is answered with a status and nothing else. Everything else that leaves here has a `Date` beside its status.

use pullgate_policy::Reason;
use std::collections::VecDeque;

/// Bytes of a frame's head: length, type, flags, stream.
const HEAD: usize = 9;

/// Bytes of a payload that are kept: the two numbers of a GOAWAY, and more than a block with a status alone has.
const KEPT: usize = 8;

/// Streams that are remembered: more than wait for their reset at a time.
const MOST_STREAMS: usize = 128;

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;
/// END_STREAM and END_HEADERS.
const WHOLE: u8 = 1 | 4;
const NO_ERROR: u32 = 0;
const PROTOCOL_ERROR: u32 = 1;

/// `:status: 400` in the static table (RFC 7541 appendix A).
const STATUS_400: u8 = 0x8c;

/// The frames of the gateway's side, as far as they have been written.
#[derive(Debug, Default)]
pub(crate) struct Replies {
    head: [u8; HEAD],
    /// How many bytes of the head have come.
    known: usize,
    payload: [u8; KEPT],
    /// How many bytes of the payload are kept.
    kept: usize,
    /// Bytes of the payload that have not come.
    left: usize,
    /// The last streams whose head was too large, with a reset still to come.
    too_large: VecDeque<[u8; 4]>,
}

impl Replies {
    /// Follows bytes that are written, and tells what they refuse.
    pub(crate) fn follow(&mut self, mut bytes: &[u8], mut tell: impl FnMut(Reason)) {
        while !bytes.is_empty() {
            let taken = if self.known < HEAD { self.take_head(bytes) } else { self.take_payload(bytes) };
            bytes = &bytes[taken..];
            if self.known == HEAD && self.left == 0 {
                if let Some(reason) = self.refusal().filter(|reason| self.is_news(*reason)) {
                    tell(reason);
                }
                (self.known, self.kept) = (0, 0);
            }
        }
    }

    fn take_head(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(HEAD - self.known);
        self.head[self.known..self.known + taken].copy_from_slice(&bytes[..taken]);
        self.known += taken;
        let [high, middle, low, ..] = self.head;
        if self.known == HEAD {
            self.left = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        }
        taken
    }

    fn take_payload(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(self.left);
        let kept = taken.min(KEPT - self.kept);
        self.payload[self.kept..self.kept + kept].copy_from_slice(&bytes[..kept]);
        self.kept += kept;
        self.left -= taken;
        taken
    }

    /// Whether a refusal was not told before: the answer 431 is followed by a reset, unless the client has ended its stream by then.
    fn is_news(&mut self, reason: Reason) -> bool {
        let [.., a, b, c, d] = self.head;
        match reason {
            Reason::HeadTooLarge => {
                self.too_large.truncate(MOST_STREAMS - 1);
                self.too_large.push_front([a, b, c, d]);
                true
            }
            Reason::StreamMalformed => !self.too_large.contains(&[a, b, c, d]),
            _ => true,
        }
    }

    /// What a whole frame refuses.
    fn refusal(&self) -> Option<Reason> {
        let [high, middle, low, kind, flags, ..] = self.head;
        let payload = &self.payload[..self.kept];
        match kind {
            RST_STREAM if code(payload, 0) == Some(PROTOCOL_ERROR) => Some(Reason::StreamMalformed),
            GOAWAY if code(payload, 4).is_some_and(|code| code != NO_ERROR) => Some(Reason::FramesMalformed),
            HEADERS if flags & WHOLE == WHOLE && (high, middle) == (0, 0) && usize::from(low) == self.kept => {
                match one_field(payload)? {
                    [STATUS_400] => Some(Reason::HostMalformed),
                    // 431, which no table has from the beginning.
                    _ => Some(Reason::HeadTooLarge),
                }
            }
            _ => None,
        }
    }
}

fn code(payload: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(payload.get(at..at + 4)?.try_into().ok()?))
}

/// The only field of a header block, behind changes of the table's size (RFC 7541 section 6); none where there are more.
fn one_field(block: &[u8]) -> Option<&[u8]> {
    let field = &block[block.iter().position(|byte| byte & 0xe0 != 0x20)?..];
    match field {
        // Indexed, in one byte.
        [0x80..=0xfe] => Some(field),
        // A literal whose name, `:status`, is the eighth of the static table: the length of the value tells whether it is all.
        [0x08 | 0x18 | 0x48, length, value @ ..] if usize::from(length & 0x7f) == value.len() => Some(field),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        on_stream(1, kind, flags, payload)
    }

    fn on_stream(stream: u8, kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).unwrap_or(u8::MAX);
        [&[0, 0, length, kind, flags, 0, 0, 0, stream][..], payload].concat()
    }

    #[test]
    fn a_head_that_is_too_large_is_told_once() {
        let too_large = |stream| on_stream(stream, HEADERS, WHOLE, &[0xbe]);
        let reset = |stream| on_stream(stream, RST_STREAM, 0, &[0, 0, 0, 1]);
        let mut told = Vec::new();
        let frames = [too_large(1), too_large(3), reset(1), reset(5), reset(3)].concat();
        Replies::default().follow(&frames, |reason| told.push(reason));
        assert_eq!(told, [Reason::HeadTooLarge, Reason::HeadTooLarge, Reason::StreamMalformed]);
    }

    #[test]
    fn what_frames_refuse() {
        let table: [(&str, Vec<u8>, Option<Reason>); 14] = [
            ("settings", frame(4, 0, &[0, 3, 0, 0, 0, 100]), None),
            ("data", frame(0, 1, &[0x8c]), None),
            ("a reset for a malformed head", frame(RST_STREAM, 0, &[0, 0, 0, 1]), Some(Reason::StreamMalformed)),
            ("a reset because nobody waits", frame(RST_STREAM, 0, &[0, 0, 0, 8]), None),
            ("a farewell", frame(GOAWAY, 0, &[0, 0, 0, 9, 0, 0, 0, 0]), None),
            ("a flood", frame(GOAWAY, 0, b"\0\0\0\x09\0\0\0\x0bcalm down"), Some(Reason::FramesMalformed)),
            ("400 alone", frame(HEADERS, WHOLE, &[0x8c]), Some(Reason::HostMalformed)),
            ("400 behind another table", frame(HEADERS, WHOLE, &[0x3f, 0xe1, 0x1f, 0x8c]), None),
            ("400 behind a smaller table", frame(HEADERS, WHOLE, &[0x20, 0x8c]), Some(Reason::HostMalformed)),
            ("400 with fields", frame(HEADERS, WHOLE, &[0x8c, 0xc0]), None),
            ("400 with a body", frame(HEADERS, 4, &[0x8c]), None),
            ("431 as a literal", on_stream(3, HEADERS, WHOLE, &[0x48, 0x82, 0x68, 0x1f]), Some(Reason::HeadTooLarge)),
            ("431 as it was", on_stream(3, HEADERS, WHOLE, &[0xbe]), Some(Reason::HeadTooLarge)),
            ("another literal", frame(HEADERS, WHOLE, &[0x40, 0x01, b'a', 0x01, b'b']), None),
        ];
        for (what, bytes, expected) in &table {
            let mut told = Vec::new();
            Replies::default().follow(bytes, |reason| told.push(reason));
            assert_eq!(told, expected.iter().copied().collect::<Vec<_>>(), "{what}");
        }
        let expected: Vec<Reason> = table.iter().filter_map(|(.., expected)| *expected).collect();
        let bytes = table.map(|(_, bytes, _)| bytes).concat();
        let (mut at_once, mut by_byte, mut replies) = (Vec::new(), Vec::new(), Replies::default());
        Replies::default().follow(&bytes, |reason| at_once.push(reason));
        for byte in bytes {
            replies.follow(&[byte], |reason| by_byte.push(reason));
        }
        assert_eq!((&at_once, &by_byte), (&expected, &expected));
    }
}
