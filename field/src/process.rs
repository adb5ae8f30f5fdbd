//! Processes that always end: with the value that stands for them, or with this very process.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::error::{Context, Error, Result};
use crate::interrupt;

/// How long whoever was asked to end may take, before it is killed.
const GRACE: Duration = Duration::from_secs(5);

/// A process. Dropped, it is asked to end, and killed if it doesn't.
pub struct Process {
    child: Child,
    name: String,
    stdout: PathBuf,
    stderr: PathBuf,
}

/// A command that ends with the thread that starts it, whatever ends that, and that the terminal's Ctrl-C does not
/// reach: it is for whoever runs the laboratory, which then ends in order.
pub fn command(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", program]).process_group(0).stdin(Stdio::null());
    command.env_remove("RUST_LOG").env_remove("RUST_BACKTRACE");
    command
}

/// Runs a command to its end, with what it prints.
///
/// # Errors
/// Where it can't be started or does not end well: its name and what it printed as the reason.
pub fn run(what: &str, command: &mut Command) -> Result<String> {
    let output = command.output().context(what)?;
    if !output.status.success() {
        let (said, status) = (reason(&output.stderr), output.status);
        return Err(Error::new(format!("{what}: {said} ({status})")));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What a program of ours says when it can't go on, without the word that begins it: it is said once.
pub fn reason(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let text = text.trim();
    text.strip_prefix("error: ").unwrap_or(text).to_owned()
}

impl Process {
    /// Starts a command; what it prints goes to `name`.out and `name`.err in `folder`. The [`command`] must come from
    /// the same thread as this call, and that thread must live for as long as the process should.
    ///
    /// # Errors
    /// Where it can't be started.
    pub fn start(folder: &Path, name: &str, mut command: Command) -> Result<Process> {
        let [stdout, stderr] = ["out", "err"].map(|kind| folder.join(format!("{name}.{kind}")));
        let file = |path: &Path| File::create(path).context(path.display());
        command.current_dir(folder).stdout(file(&stdout)?).stderr(file(&stderr)?);
        let child = command.spawn().context(name)?;
        Ok(Process { child, name: name.to_owned(), stdout, stderr })
    }

    /// What it has printed to standard output so far.
    pub fn stdout(&self) -> String {
        text(&self.stdout)
    }

    /// What it has printed to standard error so far.
    pub fn stderr(&self) -> String {
        text(&self.stderr)
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// Where the system can't tell.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().context(&self.name)
    }

    /// Waits until standard error holds `text`.
    ///
    /// # Errors
    /// It ended, or did not say so within `patience`; or as [`interrupt::check`].
    pub fn wait_for(&mut self, text: &str, patience: Duration) -> Result<()> {
        let there = interrupt::wait(patience, || {
            if self.stderr().contains(text) {
                return Ok(true);
            }
            match self.ended()? {
                Some(status) => Err(self.complaint(&format!("ended early ({status})"))),
                None => Ok(false),
            }
        })?;
        if there { Ok(()) } else { Err(self.complaint(&format!("did not say {text:?}"))) }
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It takes longer than `patience`, or as [`interrupt::check`].
    pub fn wait(&mut self, patience: Duration) -> Result<ExitStatus> {
        let mut status = None;
        interrupt::wait(patience, || {
            status = self.ended()?;
            Ok(status.is_some())
        })?;
        status.ok_or_else(|| self.complaint("does not end"))
    }

    /// Sends it a signal; one that has ended does not mind.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = Pid::from_raw(self.child.id() as i32) {
            let _ = kill_process(pid, signal);
        }
    }

    /// Kills it on the spot, and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end, and kills it if it doesn't. Says how it ended.
    pub fn stop(&mut self) -> Option<ExitStatus> {
        // A child that was waited for has given its id back.
        if let Ok(Some(status)) = self.child.try_wait() {
            return Some(status);
        }
        self.signal(Signal::TERM);
        let start = Instant::now();
        while start.elapsed() < GRACE {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            thread::sleep(interrupt::LOOK);
        }
        self.kill();
        None
    }

    /// An error that says `what` of it, and its last word.
    fn complaint(&self, what: &str) -> Error {
        let stderr = self.stderr();
        let last = stderr.lines().rev().find(|line| !line.trim().is_empty());
        let last = reason(last.unwrap_or("it said nothing").as_bytes());
        Error::new(format!("{}: {what}: {last}", self.name))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

fn text(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}
