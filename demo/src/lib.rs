//! A stand-in Auth0 tenant and two sample apps, to try and to test Doorward without an account anywhere.
//!
//! **Never for production.** The tenant shows every persona on its sign-in page, keeps passwords in the clear and its
//! keys in memory, and speaks plain http. It refuses to listen on anything but loopback for that reason. Nothing of
//! this crate is linked into the `doorward` binary.
//!
//! - [`tenant`]: an OpenID provider with Auth0's paths, shapes and error texts, and switches for tests.
//! - [`apps`]: a CMS and an IoT dashboard which know nothing of sign-on; they read request headers.
//! - [`scene`]: puts the two behind a real `doorward serve`. This is what the binary `doorward-demo` runs.

pub mod apps;
mod page;
pub mod scene;
mod server;
pub mod tenant;

pub use apps::{App, AppKind};
pub use tenant::{Tenant, TenantSettings};
