//! `doorward-demo`: a stand-in tenant, two sample apps, and the real `doorward` in front of them. Never for production.

use std::process::ExitCode;

use clap::Parser;
use doorward_demo::scene::{self, Options};

fn main() -> ExitCode {
    let options = Options::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(problem) => {
            eprintln!("error: failed to start: {problem}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(scene::run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}
