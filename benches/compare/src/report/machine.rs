//! What numbers were taken on: processor, cores and kernel. A host's name or a path is nobody's business.

use std::fs;

pub fn described() -> String {
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{}, {cores} cores, Linux {}", model(&processor), kernel(release.trim()))
}

fn model(cpuinfo: &str) -> &str {
    let found = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':').map(|(_, model)| model.trim()));
    found.unwrap_or(std::env::consts::ARCH)
}

/// The version: what follows names who built it, and for whom.
fn kernel(release: &str) -> &str {
    let end = release.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(release.len());
    &release[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_has_a_name() {
        assert_eq!(model("processor\t: 0\nmodel name\t: AMD EPYC\nstepping\t: 1\n"), "AMD EPYC");
        assert_eq!(model(""), std::env::consts::ARCH);
    }

    #[test]
    fn a_kernel_is_its_version() {
        assert_eq!(kernel("6.1.0-13-cloud-amd64"), "6.1.0");
        assert_eq!(kernel("6.12"), "6.12");
    }
}
