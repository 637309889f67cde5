//! The search tree: which of the intervals, if any, an address of one or more words lies in.

use super::Instruction;

/// What is known of an address when one word of it has been looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Known {
    /// It is in none of the intervals.
    Outside,
    /// It is in one.
    Inside,
    /// The words that follow decide, among these intervals of theirs.
    Open(Vec<(u128, u128)>),
}

/// Values of a word, from this one to where the next stretch begins.
type Stretch = (u32, Known);

/// Instructions that end with the answer for the address whose words stand at these offsets, the most significant first. The intervals are
/// sorted and apart.
pub(super) fn search(intervals: &[(u128, u128)], words: &[u32]) -> Vec<Instruction> {
    let Some((offset, rest)) = words.split_first() else { return vec![Instruction::DROP] };
    let below = 32 * u32::try_from(rest.len()).unwrap_or(0);
    let mut instructions = vec![Instruction::load(*offset)];
    instructions.extend(choose(&stretches(intervals, below), rest));
    instructions
}

/// Halves the stretches until one is left. What lies in the upper half comes second, at a distance that may need the wide jump.
fn choose(stretches: &[Stretch], rest: &[u32]) -> Vec<Instruction> {
    match stretches {
        [] | [(_, Known::Outside)] => vec![Instruction::DROP],
        [(_, Known::Inside)] => vec![Instruction::PASS],
        [(_, Known::Open(intervals))] => search(intervals, rest),
        _ => {
            let (lower, upper) = stretches.split_at(stretches.len() / 2);
            let from = upper.first().map_or(0, |(from, _)| *from);
            let (lower, upper) = (choose(lower, rest), choose(upper, rest));
            let far = || Instruction::jump(u32::try_from(lower.len()).unwrap_or(u32::MAX));
            let mut instructions = match u8::try_from(lower.len()) {
                Ok(near) => vec![Instruction::jump_if_at_least(from, near, 0)],
                Err(_) => vec![Instruction::jump_if_at_least(from, 0, 1), far()],
            };
            instructions.extend(lower);
            instructions.extend(upper);
            instructions
        }
    }
}

/// What the word above the `below` lowest bits says, from 0 to its greatest value without a gap.
fn stretches(intervals: &[(u128, u128)], below: u32) -> Vec<Stretch> {
    let mut found = Stretches { list: Vec::new(), next: 0 };
    let (word, rest) = (|value: u128| value >> below, |value: u128| value & !(u128::MAX << below));
    let most = rest(u128::MAX);
    for (first, last) in intervals {
        if word(*first) == word(*last) && (rest(*first), rest(*last)) != (0, most) {
            found.open(word(*first), (rest(*first), rest(*last)));
            continue;
        }
        let (mut from, mut to) = (word(*first), word(*last) + 1);
        if rest(*first) != 0 {
            found.open(from, (rest(*first), most));
            from += 1;
        }
        let ends_open = rest(*last) != most;
        to -= u128::from(ends_open);
        found.inside(from, to);
        if ends_open {
            found.open(to, (0, rest(*last)));
        }
    }
    found.end(1 << 32)
}

/// Stretches in the making, in ascending order.
struct Stretches {
    list: Vec<Stretch>,
    /// The first value that none of them covers.
    next: u128,
}

impl Stretches {
    /// Values from `from` to before `to` are inside.
    fn inside(&mut self, from: u128, to: u128) {
        if from < to {
            self.push(from, to, Known::Inside);
        }
    }

    /// One value about which the words that follow decide; more than one interval may share it.
    fn open(&mut self, value: u128, interval: (u128, u128)) {
        match self.list.last_mut() {
            Some((from, Known::Open(intervals))) if u128::from(*from) == value => intervals.push(interval),
            _ => self.push(value, value + 1, Known::Open(vec![interval])),
        }
    }

    fn push(&mut self, from: u128, to: u128, known: Known) {
        self.outside_until(from);
        if self.list.last().is_none_or(|(_, last)| *last != known || matches!(known, Known::Open(_))) {
            self.list.push((u32::try_from(from).unwrap_or(u32::MAX), known));
        }
        self.next = to;
    }

    fn outside_until(&mut self, end: u128) {
        if self.next < end {
            self.list.push((u32::try_from(self.next).unwrap_or(u32::MAX), Known::Outside));
        }
    }

    fn end(mut self, end: u128) -> Vec<Stretch> {
        self.outside_until(end);
        self.list
    }
}
