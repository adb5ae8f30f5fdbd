//! What goes wrong, said in one line: what was got, what was expected, and how to mend it.

use std::fmt;
use std::process::ExitCode;

/// One line for whoever runs the program.
#[derive(Debug)]
pub struct Error(String);

/// What can fail here.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error that says this. Further lines are joined to the first.
    pub fn new(text: impl fmt::Display) -> Error {
        let text = text.to_string();
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        Error(lines.collect::<Vec<_>>().join("; "))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// Says to what an error belongs.
pub trait Context<T> {
    /// With `what` before it.
    fn context(self, what: impl fmt::Display) -> Result<T>;
}

impl<T, E: fmt::Display> Context<T> for std::result::Result<T, E> {
    fn context(self, what: impl fmt::Display) -> Result<T> {
        self.map_err(|error| Error::new(format!("{what}: {error}")))
    }
}

/// What a program ends with: 0, or 2 and one line.
pub fn end(done: Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}
