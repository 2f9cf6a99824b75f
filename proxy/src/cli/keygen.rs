//! `doorward keygen`

use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{NO, say, tell};
use crate::entropy;

pub(super) fn keygen() -> ExitCode {
    match entropy::random::<32>() {
        Ok(key) => {
            tell(&STANDARD.encode(key));
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::from(NO)
        }
    }
}
