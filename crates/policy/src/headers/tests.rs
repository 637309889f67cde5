//! Tables for header hygiene.
