//! The edge in this process, tried from outside. One module for each subject.

#![allow(clippy::unwrap_used)]

mod agreement;
mod api;
mod command_line;
mod cors;
mod envoy_grpc;
mod forwarding;
mod frames;
mod framing;
mod headers;
mod hooks;
mod kept_form;
mod key_ring;
mod keys;
mod lasting;
mod oidc;
mod outside;
mod paths;
mod readme;
mod sessions;
mod sign_in;
mod tokens;
