//! The edge in this process, tried from outside. One module for each subject.

#![allow(clippy::unwrap_used)]

mod api;
mod sign_in;
mod readme;
mod tokens;
mod keys;
mod oidc;
mod sessions;
mod outside;
mod forwarding;
mod frames;
mod framing;
mod headers;
mod paths;
mod lasting;
