//! Bytes to a chain: certificates out of nothing, and forgeries of certificates that were issued.
//!
//! A mutation of raw DER rarely gets past the first length. So a piece of the input can also name a certificate and edits of it, two of
//! which set every length around them right.
//!
//! ```text
//! chain = piece…                          at most MOST_PIECES
//! piece = 255, length: 2, bytes           a certificate as it stands
//!       | number, count, edit…            CERTIFICATES[number], with count % 4 edits
//! edit  = 0, position: 2, mask            one byte, combined with the mask by exclusive or
//!       | 1, element, length, bytes       the content of the nth element of the DER
//!       | 2, element, length, bytes       the nth element as a whole; no bytes take it out
//! ```
//!
//! The kind of an edit is taken modulo 3. Where the input ends early, what is missing is zero or empty.

use crate::issued::CERTIFICATES;
use rustls_pki_types::CertificateDer;

/// More than `verify` accepts.
const MOST_PIECES: usize = 8;

/// The chain that an input stands for.
#[must_use]
pub fn chain(input: &[u8]) -> Vec<CertificateDer<'static>> {
    let mut input = Input(input);
    let mut chain = Vec::new();
    while chain.len() < MOST_PIECES && !input.0.is_empty() {
        chain.push(CertificateDer::from(piece(&mut input)));
    }
    chain
}

fn piece(input: &mut Input<'_>) -> Vec<u8> {
    let number = input.byte();
    if number == u8::MAX {
        let length = input.number();
        return input.bytes(length).to_vec();
    }
    let mut der = CERTIFICATES[usize::from(number) % CERTIFICATES.len()].der.to_vec();
    for _ in 0..input.byte() % 4 {
        der = match input.byte() % 3 {
            0 => masked(der, input.number(), input.byte()),
            1 => spliced(der, Cut::Content, input),
            _ => spliced(der, Cut::Whole, input),
        };
    }
    der
}

fn masked(mut der: Vec<u8>, position: usize, mask: u8) -> Vec<u8> {
    let position = position % der.len().max(1);
    if let Some(byte) = der.get_mut(position) {
        *byte ^= mask;
    }
    der
}

/// What of an element is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    Content,
    Whole,
}

fn spliced(der: Vec<u8>, cut: Cut, input: &mut Input<'_>) -> Vec<u8> {
    let (mut element, length) = (input.byte(), input.byte());
    splice(&der, &mut element, cut, input.bytes(length.into()))
}

/// DER with one element replaced and the lengths of all that hold it set right. Elements are counted in the order in which they begin.
fn splice(mut der: &[u8], element: &mut u8, cut: Cut, new: &[u8]) -> Vec<u8> {
    let mut result = Vec::with_capacity(der.len() + new.len());
    while let Some((tag, content, rest)) = element_of(der) {
        let here = *element == 0;
        *element = element.wrapping_sub(1);
        // OCTET STRINGs hold DER as well: the extensions.
        let holds = tag & 0x20 != 0 || tag == 4;
        match (here, cut) {
            (true, Cut::Whole) => result.extend(new),
            (true, Cut::Content) => write(&mut result, tag, new),
            (false, _) if holds => write(&mut result, tag, &splice(content, element, cut, new)),
            (false, _) => write(&mut result, tag, content),
        }
        der = rest;
    }
    result.extend(der);
    result
}

fn write(der: &mut Vec<u8>, tag: u8, content: &[u8]) {
    der.push(tag);
    der.extend(length(content.len()));
    der.extend(content);
}

/// Tag and content of the first element, and what follows it; none where no element of at most 64 KiB begins.
fn element_of(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = der.split_first_chunk()?;
    let (length, rest) = match first {
        ..=0x7f => (usize::from(first), rest),
        0x81 => rest.split_first().map(|(length, rest)| (usize::from(*length), rest))?,
        0x82 => rest.split_first_chunk().map(|(length, rest)| (usize::from(u16::from_be_bytes(*length)), rest))?,
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

fn length(length: usize) -> Vec<u8> {
    match u8::try_from(length) {
        Ok(short @ 0..0x80) => vec![short],
        Ok(long) => vec![0x81, long],
        Err(_) => [&[0x82], &u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes()[..]].concat(),
    }
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn bytes(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or(0)
    }

    fn number(&mut self) -> usize {
        usize::from(u16::from_be_bytes([self.byte(), self.byte()]))
    }
}
