//! Other proxies ask (SECURITY: HOOK).

mod answers;
mod endpoints;
mod oauth2_proxy;
mod peers;
mod shapes;
mod sources;
