#![allow(clippy::unwrap_used, dead_code)]
mod command_line;
mod reload;
