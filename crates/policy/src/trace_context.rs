//! W3C Trace Context: which trace a request is part of, and what the upstream is told of it.
//!
//! Source: <https://www.w3.org/TR/trace-context/>, sections 3.2 (`traceparent`) and 3.3 (`tracestate`). Whoever sends a request chooses the
//! identities in it. What is not taken from it is the flag that asks for sampling: what is exported is the gateway's own choice ([`Sample`]).

use crate::headers::HeaderEdits;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::fmt;
use std::num::{NonZeroU64, NonZeroU128};

/// The field that names the trace and the span that a request comes from.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The field that carries what tracing systems add to that.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The identity of a trace, thirty-two lowercase hexadecimal digits when shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceId(NonZeroU128);

/// The identity of a span, sixteen lowercase hexadecimal digits when shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanId(NonZeroU64);

impl TraceId {
    /// Of random bits; zero, which is no identity, becomes one.
    #[must_use]
    pub const fn of(bits: u128) -> Self {
        match NonZeroU128::new(bits) {
            Some(bits) => Self(bits),
            None => Self(NonZeroU128::MIN),
        }
    }

    /// As OTLP has it.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.get().to_be_bytes()
    }
}

impl SpanId {
    /// Of random bits; zero, which is no identity, becomes one.
    #[must_use]
    pub const fn of(bits: u64) -> Self {
        match NonZeroU64::new(bits) {
            Some(bits) => Self(bits),
            None => Self(NonZeroU64::MIN),
        }
    }

    /// As OTLP has it.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0.get().to_be_bytes()
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The span that a request comes from, as it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// Its trace.
    pub trace: TraceId,
    /// Its span.
    pub span: SpanId,
}

/// `00-` and then 32, 16 and 2 hexadecimal digits with a `-` between them.
const LENGTH: usize = 55;

impl Caller {
    /// What a request says of its caller; none where it says nothing, says it twice, or says what is no `traceparent`. Then a new trace begins.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut fields = headers.get_all(&TRACEPARENT).iter();
        let field = fields.next()?;
        if fields.next().is_some() {
            return None;
        }
        Self::parse(field.as_bytes())
    }

    /// Section 3.2.2; later versions are read by section 4.3, as far as this one goes.
    fn parse(text: &[u8]) -> Option<Self> {
        let (own, rest) = text.split_at_checked(LENGTH)?;
        let dashed = [2, 35, 52].iter().all(|at| own[*at] == b'-');
        let version = hexadecimal(&own[..2])?;
        let goes_on = match version {
            0 => !rest.is_empty(),
            0xff => true,
            _ => rest.first().is_some_and(|next| *next != b'-'),
        };
        if !dashed || goes_on {
            return None;
        }
        // The flags: well-formed, and not believed.
        hexadecimal(&own[53..])?;
        let trace = NonZeroU128::new(hexadecimal(&own[3..35])?)?;
        let span = NonZeroU64::new(u64::try_from(hexadecimal(&own[36..52])?).ok()?)?;
        Some(Self { trace: TraceId(trace), span: SpanId(span) })
    }
}

/// At most 32 digits, lowercase as the grammar wants them.
fn hexadecimal(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |value: u128, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some((value << 4) | u128::from(digit))
    })
}

/// The place of a request in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace: TraceId,
    /// The span that the request is here.
    pub span: SpanId,
    /// The span that it comes from; none where the trace begins here.
    pub parent: Option<SpanId>,
    /// Whether the span is exported.
    pub sampled: bool,
}

impl TraceContext {
    /// The first span of a trace.
    #[must_use]
    pub const fn begin(trace: TraceId, span: SpanId, sampled: bool) -> Self {
        Self { trace, span, parent: None, sampled }
    }

    /// The same span in the trace of a caller, where there is one.
    #[must_use]
    pub fn called_by(self, caller: Option<Caller>) -> Self {
        caller.map_or(self, |Caller { trace, span }| Self { trace, parent: Some(span), ..self })
    }

    /// The flags, two hexadecimal digits: section 3.2.2.5 has the others zero.
    #[must_use]
    pub const fn flags(&self) -> &'static str {
        if self.sampled { "01" } else { "00" }
    }

    /// What the upstream is told in place of what the client said: this span is its caller. A `tracestate` passes as it is, with a
    /// `traceparent` that was taken and where it is one.
    #[must_use]
    pub fn edits(&self, headers: &HeaderMap) -> HeaderEdits {
        let Self { trace, span, .. } = self;
        let value = HeaderValue::try_from(format!("00-{trace}-{span}-{}", self.flags()));
        // Digits and dashes are a value.
        let set = value.ok().map(|value| (TRACEPARENT, value));
        let passes = self.parent.is_some() && state_passes(headers);
        let removed = headers.contains_key(&TRACESTATE) && !passes;
        HeaderEdits { remove: removed.then_some(TRACESTATE).into_iter().collect(), set: set.into_iter().collect() }
    }
}

/// What section 3.3.1.5 asks everybody to carry at least, and what is carried at most.
const LONGEST_STATE: usize = 512;

/// Members of a list (section 3.3.1.1).
const MOST_MEMBERS: usize = 32;

/// Whether all lines of `tracestate` together are one, within bounds.
fn state_passes(headers: &HeaderMap) -> bool {
    let lines = || headers.get_all(&TRACESTATE).iter().map(HeaderValue::as_bytes);
    let length: usize = lines().map(|line| line.len() + 1).sum();
    let members = || lines().flat_map(|line| line.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    let named = || members().filter(|member| !member.is_empty());
    length <= LONGEST_STATE + 1 && named().count() <= MOST_MEMBERS && named().all(is_member)
}

/// `key=value` (section 3.3.1.3).
fn is_member(member: &[u8]) -> bool {
    let Some(at) = member.iter().position(|byte| *byte == b'=') else { return false };
    let (key, value) = (&member[..at], &member[at + 1..]);
    let begins = key.first().is_some_and(|first| first.is_ascii_lowercase() || first.is_ascii_digit());
    let is_key = |byte: &u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-' | b'*' | b'/' | b'@')
    };
    let is_value = |byte: &u8| matches!(byte, b' '..=b'~') && *byte != b'=';
    begins && key.len() <= 256 && key.iter().all(is_key) && matches!(value.len(), 1..=256) && value.iter().all(is_value)
}

/// How many requests of a million are sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample(u32);

impl Sample {
    /// All of them.
    const ALL: u32 = 1_000_000;

    /// So many of a million; none where that is more than all.
    #[must_use]
    pub fn of_a_million(count: u32) -> Option<Self> {
        (count <= Self::ALL).then_some(Self(count))
    }

    /// Whether a request is one of them, by random bits that nobody outside can choose or foresee.
    #[must_use]
    pub fn takes(self, draw: u64) -> bool {
        (u128::from(draw) * u128::from(Self::ALL)) >> 64 < u128::from(self.0)
    }
}

impl Default for Sample {
    /// One of a hundred.
    fn default() -> Self {
        Self(Self::ALL / 100)
    }
}

impl fmt::Display for Sample {
    /// As a percentage, `0.1%`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", f64::from(self.0) / 1e4)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]
mod tests;
