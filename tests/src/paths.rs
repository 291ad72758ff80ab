//! Where the tests find the binary, their own files, and the clients that `deploy/scripts/setup test` has fetched.

use std::path::{Path, PathBuf};

/// The repository's root.
pub fn repository() -> PathBuf {
    // tests/ is one level below it.
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).to_path_buf()
}

/// The binary under test: `KUORUM_BIN`, or the one built beside the tests.
///
/// # Panics
/// When there is none.
pub fn kuorum() -> PathBuf {
    let path = std::env::var_os("KUORUM_BIN").map(PathBuf::from).unwrap_or_else(|| {
        let tests = std::env::current_exe().expect("the path of this test");
        // <target>/release/deps/<test> → <target>/release/kuorum
        tests.ancestors().nth(2).unwrap_or(Path::new("/")).join("kuorum")
    });
    assert!(path.is_file(), "{} is not there: cargo build --release -p kuorum", path.display());
    path
}

/// Clients that the set-up has fetched: `debian-kubectl/`, `venv/`.
pub fn tools() -> PathBuf {
    if let Some(tools) = std::env::var_os("KUORUM_TOOLS") {
        return tools.into();
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from).unwrap_or_else(|| {
        PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/root".into())).join(".cache/kuorum-target")
    });
    target.join("tools")
}

/// Python with the clients of `tests/requirements.txt`.
///
/// # Panics
/// When the set-up was not run.
pub fn python() -> PathBuf {
    let path = tools().join("venv/bin/python");
    assert!(path.exists(), "{} is not there: deploy/scripts/setup test", path.display());
    path
}
