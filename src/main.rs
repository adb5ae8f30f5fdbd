//! The `maelstrom` command.

fn main() {}
