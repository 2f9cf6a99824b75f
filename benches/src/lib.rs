//! See `gate.rs`.
