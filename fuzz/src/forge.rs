//! Bytes to a chain: certificates out of nothing, and forgeries of certificates that were issued.
//!
//! A mutation of raw DER rarely gets past the first length. So a piece of the input can also name a certificate and edits of it, one of
//! which changes a value and sets every length around it right.
//!
//! ```text
//! chain = piece…                       at most MOST_PIECES
//! piece = 255, length: 2, bytes        a certificate as it stands
//!       | number, count, edit…         CERTIFICATES[number], with count % 4 edits
//! edit  = even, position: 2, mask      one byte, combined with the mask by exclusive or
//!       | odd, element, length, bytes  the content of the nth element of the DER
//! ```
//!
//! Where the input ends early, what is missing is zero or empty.

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
        if input.byte().is_multiple_of(2) {
            let position = input.number() % der.len().max(1);
            let mask = input.byte();
            if let Some(byte) = der.get_mut(position) {
                *byte ^= mask;
            }
        } else {
            let (mut element, length) = (input.byte(), input.byte());
            der = splice(&der, &mut element, input.bytes(length.into()));
        }
    }
    der
}

/// DER with the content of one element replaced and the lengths of all that hold it set right. Elements are counted in the order in
/// which they begin.
fn splice(mut der: &[u8], element: &mut u8, content: &[u8]) -> Vec<u8> {
    let mut spliced = Vec::with_capacity(der.len() + content.len());
    while let Some((tag, inner, rest)) = element_of(der) {
        let here = *element == 0;
        *element = element.wrapping_sub(1);
        // OCTET STRINGs hold DER as well: the extensions.
        let holds = tag & 0x20 != 0 || tag == 4;
        let inner = match (here, holds) {
            (true, _) => content.to_vec(),
            (false, true) => splice(inner, element, content),
            (false, false) => inner.to_vec(),
        };
        spliced.push(tag);
        spliced.extend(length(inner.len()));
        spliced.extend(inner);
        der = rest;
    }
    spliced.extend(der);
    spliced
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_without_edits_is_the_certificate() {
        assert_eq!(
            chain(&[0, 0, 1, 0]).iter().map(AsRef::as_ref).collect::<Vec<&[u8]>>(),
            [CERTIFICATES[0].der, CERTIFICATES[1].der]
        );
    }
}
