//! The soak: the real binary under load, change and attack, with a figure and a bar for each promise.
//!
//! The load and the origin run in this process, the gateway in its own. Every request has a number in its path; what the clients got,
//! what the access log says and what the origin saw are compared number by number.

mod attempt;
mod backend;
mod beat;
mod changes;
mod gate;
mod growth;
mod idle;
mod ledger;
mod load;
mod nginx;
mod process;
mod report;
mod slow;
mod strangers;
mod surroundings;

pub use backend::Backend;
pub use changes::{Changed, Changes};
pub use gate::{Gate, Setting};
pub use growth::{Grown, Growth};
pub use idle::{Idle, Idled};
pub use ledger::{Balance, Ledger};
pub use load::{Counts, Load, Shape};
pub use process::{descriptors, resident};
pub use report::{Figure, table};
pub use slow::{Kind, Slow, Slowed};
pub use strangers::{Attacked, Strangers};
