//! The example storage process in C: compiled as strictly as C compilers can, linked with either
//! library, and run against a stand-in for a gateway.

#[path = "../../tests/stand_in/mod.rs"]
mod stand_in;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

// What the stand-in is written against.
extern crate shared as netsync;
use stand_in::{Manner, StandIn};

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{said}", output.status);
    output
}

/// Where the two libraries are, made anew: cargo makes them for a build only, not for a test.
fn libraries() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let test = std::env::current_exe().unwrap();
        let profile = test.ancestors().nth(2).unwrap();
        let mut build = Command::new(std::env::var_os("CARGO").unwrap());
        build.args(["build", "--package", env!("CARGO_PKG_NAME"), "--target-dir"]);
        build.arg(profile.parent().unwrap());
        if profile.ends_with("release") {
            build.arg("--release");
        }
        run(&mut build);
        profile.to_owned()
    })
}

fn compile(source: &str, into: &Path, link: &[&str]) -> PathBuf {
    let netsync = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let program = into.join(format!("{source}-{}", link.len()));
    let libraries = libraries();
    run(Command::new("cc")
        .args(["-Wall", "-Wextra", "-Werror", "-pedantic", "-std=c11", "-O2"])
        .arg(format!("-I{}", netsync.join("include").display()))
        .arg(netsync.join("examples/c").join(format!("{source}.c")))
        .arg("-o")
        .arg(&program)
        .arg(format!("-L{}", libraries.display()))
        .arg(format!("-Wl,-rpath,{}", libraries.display()))
        .args(link));
    program
}

const SHARED: [&str; 1] = ["-lnetsync"];
const STATIC: [&str; 5] = ["-l:libnetsync.a", "-lgcc_s", "-lpthread", "-lm", "-ldl"];

#[test]
fn the_c_example_writes_records_and_waits() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("socket");
    let stand_in = StandIn::start(&socket, Manner::Anchored);
    let port = stand_in.mirror.port().to_string();
    for (link, policy) in [(&SHARED[..], "level:2"), (&STATIC[..], "prob:1e-4"), (&SHARED, "acked")]
    {
        let program = compile("storage", dir.path(), link);
        let output =
            run(Command::new(program).arg(&socket).args(["127.0.0.1", &port, "200", policy]));
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.starts_with("records 200, ") && said.contains("latency median"), "{said}");
    }
}

#[test]
fn the_c_example_says_why_it_can_t() {
    let dir = tempfile::tempdir().unwrap();
    let program = compile("storage", dir.path(), &SHARED);
    let run = |args: &[&str]| {
        let output = Command::new(&program).args(args).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(run(&[]).0, Some(2));
    let (status, said) = run(&["/no/such/socket", "127.0.0.1", "1", "1", "acked"]);
    assert_eq!(status, Some(1));
    assert!(said.starts_with("storage: /no/such/socket: no such socket"), "{said}");
}

/// Calls everything in the header, with good arguments and bad.
#[test]
fn c_can_call_everything() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("socket");
    let stand_in = StandIn::start(&socket, Manner::Anchored);
    let port = stand_in.mirror.port().to_string();
    let program = compile("everything", dir.path(), &STATIC);
    run(Command::new(program).arg(&socket).arg(&port));
}

/// What docs/NETSYNC.md shows in C.
#[test]
fn the_document_s_example_compiles() {
    let netsync = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let document = std::fs::read_to_string(netsync.join("../docs/NETSYNC.md")).unwrap();
    let shown = document.split("```c\n").nth(1).unwrap().split("```").next().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("shown.c");
    std::fs::write(&source, shown).unwrap();
    run(Command::new("cc")
        .args(["-Wall", "-Wextra", "-Werror", "-pedantic", "-std=c11", "-fsyntax-only"])
        .arg(format!("-I{}", netsync.join("include").display()))
        .arg(&source));
}

/// Header, libraries and pkg-config file, where a distribution's package would have them.
#[test]
fn what_is_installed_is_found_by_pkg_config() {
    let netsync = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let root = tempfile::tempdir().unwrap();
    let install = netsync.join("../scripts/install-netsync");
    run(Command::new(install).arg(libraries()).arg("/opt/netsync").arg(root.path()));
    let lib = root.path().join("opt/netsync/lib");
    let found = run(Command::new("pkg-config")
        .args(["--cflags", "--libs", "netsync"])
        .env("PKG_CONFIG_PATH", lib.join("pkgconfig"))
        .env("PKG_CONFIG_SYSROOT_DIR", root.path()));
    let flags = String::from_utf8(found.stdout).unwrap();
    let program = root.path().join("storage");
    run(Command::new("cc")
        .args(["-Wall", "-Wextra", "-Werror", "-std=c11", "-o"])
        .arg(&program)
        .arg(netsync.join("examples/c/storage.c"))
        .args(flags.split_whitespace()));
    let output = Command::new(&program).env("LD_LIBRARY_PATH", &lib).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().starts_with("usage: storage SOCKET"));
}
