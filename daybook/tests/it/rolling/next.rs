//! The program as a later release would be: `examples/next.rs`, with the feature `next`.

use crate::support::program;
use std::path::{Path, PathBuf};
use tokio::process::Command;
use tokio::sync::OnceCell;

pub(super) async fn binary() -> Command {
    program(path().await)
}

/// Built when it is first asked for, beside what the tests are built from: only the domain and what
/// depends on it are compiled once more.
pub(super) async fn path() -> &'static Path {
    static BUILT: OnceCell<PathBuf> = OnceCell::const_new();
    BUILT.get_or_init(build).await
}

async fn build() -> PathBuf {
    let folder = Path::new(env!("CARGO_BIN_EXE_daybook")).parent().unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    // The whole workspace, because features are chosen for all of what is named together.
    cargo.args(["build", "--locked", "--workspace", "--example", "next"]);
    cargo.args(["--features", "daybook/next", "--target-dir"]).arg(folder.parent().unwrap());
    if folder.ends_with("release") {
        cargo.arg("--release");
    }
    // What cargo says of this crate is nothing to the build scripts of others.
    for (name, _) in std::env::vars() {
        if ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|own| name.starts_with(own)) {
            cargo.env_remove(name);
        }
    }
    let built = cargo.output().await.unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    folder.join("examples/next")
}
