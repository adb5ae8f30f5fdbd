//! Tables that are committed beside the tests: compared byte for byte, rewritten with `BLESS=1`.

use std::path::Path;

pub fn compare(name: &str, table: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/code").join(name);
    if std::env::var_os("BLESS").is_some_and(|bless| bless == "1") {
        std::fs::write(&path, table).expect("the table can be written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == table, "{name} was\n{committed}\nand is now\n{table}\nBLESS=1 accepts it");
}
