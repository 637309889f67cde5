//! Tables for origin-pull verification.
