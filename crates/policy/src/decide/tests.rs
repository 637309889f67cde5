//! Tables for the decision: which host, what refuses first, whose proof counts, who the visitor is, what certificate it has, what is done.

mod actions;
mod authorities;
mod certificates;
mod laws;
mod order;
mod proofs;
mod visitors;

use super::*;
use crate::testing::{Arrival, Ca, NOW, PEER, Says, VISITOR, at, attached, open_host, route, rules, shop, values};
