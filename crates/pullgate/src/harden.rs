//! What the process gives away where it fails: of a panic its place and nothing that it holds, and no image of its memory.

use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use std::io::Write;
use std::panic::{Location, set_hook};

/// Keeps secrets in the process that is about to serve: panics go to the process log without their message, which may quote what a client
/// sent or a key; and the memory, which holds keys, goes into no core file and is shown to no debugger but root's.
pub(crate) fn harden() {
    set_hook(Box::new(|panic| {
        let place = panic.location().map(Location::to_string).unwrap_or_default();
        let thread = std::thread::current().name().unwrap_or_default().to_owned();
        if log::max_level() == log::LevelFilter::Off {
            // The log has not begun. Nobody may be there to read it.
            let _ = writeln!(std::io::stderr(), "pullgate: a panic at {place}");
        }
        log::error!(place, thread; "a panic, which is a bug of Pullgate: what it was at ends here");
    }));
    // A kernel without it serves as well.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}
