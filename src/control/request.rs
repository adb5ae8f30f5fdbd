//! What operators ask of a running gateway, as JSON: one request a line, one answer a line.
//!
//! ```text
//! {"verb":"status"}                 {"ok":true,"gateway":{…},"peer":{…},…}
//! {"verb":"bypass","on":true}       {"ok":true,"said":"frames cross unprotected from now on"}
//! {"verb":"code","code":"8:x"}      {"ok":false,"error":"code 8:x: …"}
//! ```

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The longest request, in bytes.
pub const LONGEST: usize = 4096;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// How is everything?
    Status {},
    /// What does the link do?
    Link {},
    /// Use this code from now on.
    Code {
        /// As `code.layers` has it.
        code: String,
    },
    /// Let frames cross unprotected, or protect them again.
    Bypass {
        /// Whether to.
        on: bool,
    },
    /// Take nothing in and let everything leave, or go on.
    Drain {
        /// Whether to.
        on: bool,
    },
    /// Read the configuration again.
    Reload {},
    /// Count from 0 again.
    ResetCounters {},
}

impl Request {
    /// Reads a line.
    ///
    /// # Errors
    /// In one line, what was got and what is expected.
    pub fn parse(line: &str) -> Result<Request, String> {
        serde_json::from_str(line).map_err(|error| {
            let error = error.to_string().replace('\n', " ");
            format!(
                "request: {error}; expected {{\"verb\":\"status\"}}, or another of link, code, bypass, \
                 drain, reload, reset-counters"
            )
        })
    }
}

/// The answer to a request that was refused.
pub fn refusal(error: &str) -> Value {
    json!({"ok": false, "error": error})
}

/// The answer to one that was done.
pub fn done(said: &str) -> Value {
    json!({"ok": true, "said": said})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_what_they_say() {
        for (line, expected) in [
            (r#"{"verb":"status"}"#, Request::Status {}),
            (r#"{"verb":"link"}"#, Request::Link {}),
            (r#"{"verb":"code","code":"8:1"}"#, Request::Code { code: "8:1".to_owned() }),
            (r#"{"verb":"bypass","on":true}"#, Request::Bypass { on: true }),
            (r#"{"verb":"drain","on":false}"#, Request::Drain { on: false }),
            (r#"{"verb":"reload"}"#, Request::Reload {}),
            (r#"{"verb":"reset-counters"}"#, Request::ResetCounters {}),
        ] {
            assert_eq!(Request::parse(line), Ok(expected.clone()));
            assert_eq!(serde_json::to_string(&expected).unwrap(), line);
        }
        for line in [
            "",
            "status",
            "{}",
            r#"{"verb":"stop"}"#,
            r#"{"verb":"code"}"#,
            r#"{"verb":"bypass","on":1}"#,
            r#"{"verb":"status","more":1}"#,
            "{\"verb\":\"status\"\u{0}}",
        ] {
            let error = Request::parse(line).expect_err(line);
            assert!(error.contains("expected") && error.lines().count() == 1, "{line}: {error}");
        }
    }
}
