//! The file that holds the common key of two gateways: 32 bytes as 64 hexadecimal digits, readable by
//! its owner alone; and the keys of the configuration that say so.

use std::fs::{self, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

use super::{Config, GatewaySection};
use crate::gateway::Oversize;
use crate::link::PeerDown;
use crate::wire::seal::Mode;
use crate::wire::shim::Integrity;

/// The common key.
pub type PresharedKey = Zeroizing<[u8; 32]>;

/// The longest file that is looked at: the digits, and some space around them.
const LONGEST: u64 = 256;

/// Why a key can't be had. One line each.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The system does not let us.
    #[error("{path}: {error}; expected a key file, as `maelstrom key` writes it")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// Others may read it.
    #[error(
        "{path}: got mode {mode:04o}, expected a key that only its owner can read; `chmod 600 {path}`, \
         and a new key if others may have read it"
    )]
    Readable {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It is something else.
    #[error("{path}: got no key, expected 64 hexadecimal digits, as `maelstrom key` writes them")]
    NotAKey {
        /// The file.
        path: PathBuf,
    },
    /// There is one already.
    #[error("{path}: exists; expected a new file, since the other gateway may have this key")]
    Exists {
        /// The file.
        path: PathBuf,
    },
}

/// `gateway.keys`: who wants none must say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NoKeys {
    /// Anyone on the WAN may send what this gateway delivers.
    None,
}

impl GatewaySection {
    /// What keys do, if there are any.
    pub fn key_mode(&self) -> Option<Mode> {
        self.key_file.as_ref().map(|_| self.key_mode.unwrap_or_default())
    }

    /// Reads the key, if there is to be one.
    ///
    /// # Errors
    /// See [`load`].
    pub fn load_key(&self) -> Result<Option<PresharedKey>, KeyError> {
        self.key_file.as_deref().map(load).transpose()
    }
}

impl Config {
    /// The key that does not fit, and what is expected.
    pub(super) fn validate_keys(&self) -> Result<(), (&'static str, String)> {
        let GatewaySection { key_file, key_mode, keys, .. } = &self.gateway;
        if key_file.is_some() == keys.is_some() {
            let got =
                if keys.is_some() { "got both keys = \"none\" and a file" } else { "missing" };
            return Err((
                "gateway.key_file",
                format!(
                    "{got}; expected key_file = \"FILE\", a key that `maelstrom key FILE` makes and both \
                     gateways have, or keys = \"none\" for a WAN where nobody else can send"
                ),
            ));
        }
        if keys.is_some() {
            return match key_mode {
                Some(_) => Err((
                    "gateway.key_mode",
                    "got a value with keys = \"none\"; expected none, or key_file".to_owned(),
                )),
                None => Ok(()),
            };
        }
        let refused = |key, got: &str, expected: &str| {
            let why = "with keys nothing crosses that they do not protect";
            Err((key, format!("got \"{got}\" with gateway.key_file; expected {expected}: {why}")))
        };
        if self.wan.oversize == Some(Oversize::Bypass) {
            return refused("wan.oversize", "bypass", "\"drop\", or none");
        }
        if self.link.peer_down == PeerDown::Bypass {
            return refused("link.peer_down", "bypass", "\"protect\" or \"drop\"");
        }
        if self.code.integrity == Integrity::Off {
            return refused("code.integrity", "off", "none");
        }
        Ok(())
    }
}

/// Reads a key.
///
/// # Errors
/// If the file can't be read, others can read it, or it holds no key.
pub fn load(path: &Path) -> Result<PresharedKey, KeyError> {
    let failed = |error| KeyError::File { path: path.to_owned(), error };
    let file = fs::File::open(path).map_err(failed)?;
    // Of the file that is open, which may not be the one that has its name by now.
    let mode = file.metadata().map_err(failed)?.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyError::Readable { path: path.to_owned(), mode });
    }
    let mut text = Zeroizing::new(Vec::with_capacity(LONGEST as usize));
    file.take(LONGEST).read_to_end(&mut text).map_err(failed)?;
    parse(text.trim_ascii()).ok_or_else(|| KeyError::NotAKey { path: path.to_owned() })
}

fn parse(digits: &[u8]) -> Option<PresharedKey> {
    let mut key = Zeroizing::new([0; 32]);
    if digits.len() != 2 * key.len() {
        return None;
    }
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16);
        *byte = (digit(0)? << 4 | digit(1)?) as u8;
    }
    Some(key)
}

/// Writes a new key, which nobody has yet, to a new file that only its owner can read.
///
/// # Errors
/// If the file exists or can't be written, or the system has no random numbers.
pub fn create(path: &Path) -> Result<(), KeyError> {
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => KeyError::Exists { path: path.to_owned() },
        _ => KeyError::File { path: path.to_owned(), error },
    };
    let mut key = [0u8; 32];
    aws_lc_rs::rand::fill(&mut key)
        .map_err(|_| failed(std::io::Error::other("the system has no random numbers")))?;
    let mut text = Zeroizing::new(String::with_capacity(65));
    for byte in key {
        for digit in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(digit.into(), 16));
        }
    }
    text.push('\n');
    key.zeroize();
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_that_was_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        create(&one).unwrap();
        create(&other).unwrap();
        assert_eq!(load(&one).unwrap(), load(&one).unwrap());
        assert_ne!(load(&one).unwrap(), load(&other).unwrap());
        assert_eq!(fs::metadata(&one).unwrap().mode() & 0o777, 0o600);
        let exists = create(&one).unwrap_err().to_string();
        assert!(exists.contains("exists; expected a new file"), "{exists}");
    }

    #[test]
    fn what_is_no_secret_key_is_refused_in_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let good = "00ff".repeat(16);
        for (text, mode, expected) in [
            (good.clone(), 0o640, "got mode 0640"),
            (good.clone(), 0o604, "got mode 0604"),
            (good[1..].to_owned(), 0o600, "64 hexadecimal digits"),
            (format!("{good}00"), 0o600, "64 hexadecimal digits"),
            (good.replace('f', "g"), 0o600, "64 hexadecimal digits"),
            (String::new(), 0o600, "64 hexadecimal digits"),
            (" ".repeat(5000), 0o600, "64 hexadecimal digits"),
            ("\u{e4}".repeat(32), 0o600, "64 hexadecimal digits"),
        ] {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = load(&path).unwrap_err().to_string();
            assert!(error.contains(expected) && error.lines().count() == 1, "{error}");
        }
        fs::write(&path, format!("  {good}\n\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        assert_eq!(load(&path).unwrap()[..2], [0, 0xFF]);
        let missing = load(&folder.path().join("none")).unwrap_err().to_string();
        assert!(missing.contains("maelstrom key") && missing.lines().count() == 1, "{missing}");
        let unreadable = load(folder.path()).unwrap_err().to_string();
        assert_eq!(unreadable.lines().count(), 1, "{unreadable}");
    }
}
