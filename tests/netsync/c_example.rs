//! The example storage process in C, made as a user would make it.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Compiles it into `folder`, with the static library.
pub fn compile(folder: &Path) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap();
    let mut build = Command::new(env!("CARGO"));
    build.current_dir(root).args(["build", "--package", "netsync-capi", "--target-dir"]);
    build.arg(profile.parent().unwrap());
    if profile.ends_with("release") {
        build.arg("--release");
    }
    run(&mut build);
    let program = folder.join("storage");
    run(Command::new("cc")
        .args(["-Wall", "-Wextra", "-Werror", "-std=c11"])
        .arg(format!("-I{}", root.join("netsync/include").display()))
        .arg(root.join("netsync/examples/c/storage.c"))
        .arg("-o")
        .arg(&program)
        .arg(format!("-L{}", profile.display()))
        .args(["-l:libnetsync.a", "-lgcc_s", "-lpthread", "-lm", "-ldl"]));
    program
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{said}", output.status);
}
