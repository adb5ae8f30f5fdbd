//! What is said on standard output.

use std::fmt;
use std::io::{self, Write as _};

/// A line. Whoever read them may have left (`| head`): what is measured is in its table all the same.
pub fn say(line: impl fmt::Display) {
    let _ = writeln!(io::stdout(), "{line}");
}
