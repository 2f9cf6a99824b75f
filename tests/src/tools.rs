//! Where the programs are that these tests start.

use std::path::{Path, PathBuf};

/// The folder of this package.
pub fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The `doorward` binary of this build: two folders above the test executable, `target/<profile>/deps/e2e-…`.
pub fn doorward() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let profile = test.ancestors().nth(2).expect("a test executable is in target/<profile>/deps");
    existing(profile.join("doorward"), "run `cargo build -p doorward-proxy --bin doorward` in the same profile, or `./x test`")
}

/// The Node of the pinned version, and proof that the other packages are there.
pub fn node() -> PathBuf {
    let modules = package().join("node_modules");
    let hint = "run `npm ci` in `tests/`, or `./x test`";
    existing(modules.join("oidc-provider/package.json"), hint);
    existing(modules.join("playwright-core/package.json"), hint);
    existing(modules.join(".bin/node"), hint)
}

/// The Chromium that `DOORWARD_CHROMIUM` names, else Debian's.
pub fn chromium() -> PathBuf {
    let named = std::env::var_os("DOORWARD_CHROMIUM").filter(|path| !path.is_empty());
    existing(named.map_or_else(|| PathBuf::from("/usr/bin/chromium"), PathBuf::from), "run `apt-get install chromium`, or `./x test`")
}

fn existing(path: PathBuf, hint: &str) -> PathBuf {
    assert!(path.exists(), "`{}` is missing: {hint}", path.display());
    path
}
