//! `doorward schema`

use std::process::ExitCode;

use super::tell;

pub(super) fn schema() -> ExitCode {
    tell(doorward_config::SCHEMA.trim_end());
    ExitCode::SUCCESS
}
