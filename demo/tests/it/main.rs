//! The stand-in tenant and the sample apps, over real sockets. Every refusal has a twin that passes.

mod apps;
mod binary;
mod client;
mod client_auth;
mod code_flow;
mod keys;
mod logout;
mod pages;
mod refresh;
mod tokens;
