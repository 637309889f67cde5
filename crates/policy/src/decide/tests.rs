//! Tables for `decide`.
