//! What goes wrong, said in one line: what was got, what was expected, and how to mend it.

use std::fmt;

/// One line for whoever runs the laboratory.
#[derive(Debug)]
pub struct Error(String);

/// What can fail here.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error that says this. Further lines are joined to the first.
    pub fn new(text: impl fmt::Display) -> Error {
        let text = text.to_string();
        Error(
            text.lines()
                .map(str::trim)
                .filter(|line| !line.is_empty())
                .collect::<Vec<_>>()
                .join("; "),
        )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// Says to what an error of the system belongs.
pub trait Context<T> {
    /// As it is, or with `what` before it.
    fn context(self, what: impl fmt::Display) -> Result<T>;
}

impl<T, E: fmt::Display> Context<T> for std::result::Result<T, E> {
    fn context(self, what: impl fmt::Display) -> Result<T> {
        self.map_err(|error| Error::new(format!("{what}: {error}")))
    }
}
