//! The `maelstrom` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    maelstrom::cli::main()
}
