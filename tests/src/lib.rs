//! What the tests are made with: a whole edge in this process, an app that records bytes, clients that send them.

#![allow(clippy::unwrap_used, clippy::missing_panics_doc)]

pub mod asker;
pub mod chromium;
pub mod client;
pub mod hostile;
pub mod idp;
pub mod ports;
pub mod process;
pub mod recorder;
pub mod redis;
pub mod scene;
pub mod tools;
pub mod variety;
