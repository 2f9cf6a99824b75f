//! What the tests are made with: a whole edge in this process, an app that records bytes, clients that send them.

#![allow(clippy::unwrap_used, clippy::missing_panics_doc)]

pub mod client;
pub mod hostile;
pub mod recorder;
pub mod scene;
