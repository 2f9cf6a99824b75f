//! The picture, which matplotlib draws from `latest.json`.

use std::path::Path;
use std::process::Command;

use crate::stand::Fault;

const PROGRAM: &str = include_str!("plot.py");

/// Writes `latest.svg` and `latest.png` into the folder.
///
/// # Errors
/// When there is no Python with matplotlib, or it has something to say.
pub fn draw(json: &Path, folder: &Path) -> Result<(), Fault> {
    // The distribution's, which has the distribution's matplotlib; not whatever else is first on the PATH.
    let output = Command::new("/usr/bin/python3").args(["-c", PROGRAM]).arg(json).arg(folder).output();
    let output = output.map_err(|fault| format!("the plot was not drawn: /usr/bin/python3: {fault}"))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        return Err(format!("the plot was not drawn: {}", complaint.lines().last().unwrap_or("python3 failed")).into());
    }
    Ok(())
}
