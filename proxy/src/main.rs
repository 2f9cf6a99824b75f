//! The `doorward` binary.

use std::process::ExitCode;

use clap::Parser;
use doorward_proxy::cli::{self, Cli};

fn main() -> ExitCode {
    // The linker leaves out what nobody names, and with it the allocator.
    std::hint::black_box(mimalloc::MiMalloc.version());
    // First of all: whoever installs a provider first decides for everybody, and pingora would install ring.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        return ExitCode::FAILURE;
    }
    // jsonwebtoken cannot choose by itself when another crate turns on a second backend.
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
    cli::run(Cli::parse())
}
