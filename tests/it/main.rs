//! The edge in this process, tried from outside. One module for each subject.

#![allow(clippy::unwrap_used)]

mod agreement;
mod api;
mod command_line;
mod conformance;
mod cors;
mod domain;
mod envoy_grpc;
mod forwarding;
mod frames;
mod framing;
mod handoff;
mod headers;
mod hooks;
mod kept_form;
mod key_ring;
mod keys;
mod lasting;
mod logout;
mod oidc;
mod outside;
mod pages;
mod paths;
mod providers;
mod readme;
mod refresh;
mod sessions;
mod sign_in;
mod step_up;
mod stores;
mod stores_edge;
mod stores_file;
mod stores_outage;
mod stores_redis;
mod tokens;
mod unstuck;
mod ways_in;
