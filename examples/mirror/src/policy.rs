//! When a client is told that its record is safe.

use std::fmt;
use std::str::FromStr;

/// From the fastest to the safest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Policy {
    /// The primary's own file has it. A site that dies takes with it what is not yet sent, what is lost on its way, and
    /// what follows that.
    Local,
    /// And the gateway has sent all of it into the WAN. What is lost there is lost.
    Semi,
    /// And so many repairs have left that, should this site die now, the mirror lacks it with this probability at most.
    NetworkSync(f64),
    /// And the mirror has answered, behind its fsync.
    Remote,
}

impl Policy {
    /// Whether the gateway's word is needed.
    pub fn needs_gateway(self) -> bool {
        matches!(self, Policy::Semi | Policy::NetworkSync(_))
    }
}

impl FromStr for Policy {
    type Err = String;

    fn from_str(text: &str) -> Result<Policy, String> {
        const EXPECTED: &str = "expected local, semi, network-sync:P with P from 0 to 1, or remote";
        match (text, text.split_once(':')) {
            ("local", _) => Ok(Policy::Local),
            ("semi", _) => Ok(Policy::Semi),
            ("remote", _) => Ok(Policy::Remote),
            (_, Some(("network-sync", target))) => match target.parse() {
                Ok(target) if (0.0..=1.0).contains(&target) => Ok(Policy::NetworkSync(target)),
                _ => Err(EXPECTED.to_owned()),
            },
            _ => Err(EXPECTED.to_owned()),
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Policy::Local => f.write_str("local"),
            Policy::Semi => f.write_str("semi"),
            Policy::NetworkSync(target) => write!(f, "network-sync:{target:e}"),
            Policy::Remote => f.write_str("remote"),
        }
    }
}

/// What is done while the gateway can't say more about a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unprotected {
    /// The mirror's own answer is waited for.
    Remote,
    /// The gateway is asked on, and the mirror's own answer counts as well.
    Wait,
}

impl FromStr for Unprotected {
    type Err = String;

    fn from_str(text: &str) -> Result<Unprotected, String> {
        match text {
            "remote" => Ok(Unprotected::Remote),
            "wait" => Ok(Unprotected::Wait),
            _ => Err("expected remote or wait".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_read_as_they_are_written() {
        for policy in [Policy::Local, Policy::Semi, Policy::NetworkSync(1e-6), Policy::Remote] {
            assert_eq!(policy.to_string().parse(), Ok(policy));
        }
        for bad in ["", "network-sync", "network-sync:2", "network-sync:x", "remote:1"] {
            let said = bad.parse::<Policy>().unwrap_err();
            assert!(said.contains("network-sync:P"), "{said}");
        }
    }
}
