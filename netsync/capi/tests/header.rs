//! The committed header is what cbindgen makes of this crate.

use std::path::Path;

#[test]
fn the_header_is_up_to_date() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let committed = here.join("../include/netsync.h");
    let config = cbindgen::Config::from_file(here.join("cbindgen.toml")).unwrap();
    let mut made = Vec::new();
    // File by file, which needs no cargo.
    let files = ["error", "subscriber", "wait", "flow", "notices"];
    let files = files.map(|file| here.join(format!("src/{file}.rs")));
    let builder = files.iter().fold(cbindgen::Builder::new(), |all, file| all.with_src(file));
    builder.with_config(config).generate().unwrap().write(&mut made);
    // What Rust calls safety, C calls what the caller sees to.
    let made = String::from_utf8(made).unwrap().replace("// # Safety\n//\n// ", "// Required: ");
    let made = made.trim_start().to_owned();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&committed, &made).unwrap();
    }
    let there = std::fs::read_to_string(&committed).unwrap_or_default();
    assert!(there == made, "{} has drifted: run this test with UPDATE=1", committed.display());
}
