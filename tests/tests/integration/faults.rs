//! Faults of our own and of what is around: panics, stuck threads, outputs that take nothing, clocks that jump, little memory.
//!
//! A test is named after the scenario that it plays, h51 to h53, and e39 for the clock.

mod clock;
mod logs;
mod memory;
mod panics;
mod stuck;
