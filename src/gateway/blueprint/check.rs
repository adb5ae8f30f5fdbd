//! Whether a gateway can be built as it is wanted, and what an operator should know though it can.

use thiserror::Error;

use super::Blueprint;
use super::lengths::MORE_RUNS;
use super::memory::{Memory, mib};
use crate::fec::Code;
use crate::gateway::settings::{Oversize, TooBig};
use crate::wire::icmp::V6_LEAST_MTU;
use crate::wire::outer::{MIN_FRAME, OUTER_LEN};
use crate::wire::shim::Integrity;

/// Why a gateway can't be built. One line each.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum BlueprintError {
    /// No frame fits.
    #[error(
        "a WAN MTU of {mtu} leaves no room for LAN frames behind {headers} bytes of headers; \
         expected at least {least}"
    )]
    MtuTooSmall {
        /// What was given.
        mtu: u16,
        /// What is in front of a repair's bytes.
        headers: usize,
        /// What is needed.
        least: usize,
    },
    /// Frames that cross as they came can't be authenticated.
    #[error(
        "got \"transparent\" and keys, but a frame that crosses as it came has no room for a tag, and can't \
         be told from a forged one; expected \"ether\" or \"udp\", or no keys"
    )]
    KeysOnTransparent,
    /// A filled group's repair would need too many parts.
    #[error(
        "a WAN MTU of {mtu} would cut the repairs of code {code} into too many parts; expected smaller \
         groups, or a larger MTU"
    )]
    TooManyParts {
        /// The WAN's MTU.
        mtu: u16,
        /// The code.
        code: Code,
    },
    /// The code's groups don't fit the window.
    #[error(
        "a window of {window} packets does not hold the span of code {code}, {span} packets; \
         expected at least {span}"
    )]
    WindowTooSmall {
        /// What was given.
        window: usize,
        /// The code.
        code: Code,
        /// Its span.
        span: u64,
    },
    /// It takes too much.
    #[error(
        "code {code} takes {} MiB of memory ({memory}), more than the limit of {} MiB; choose smaller \
         groups or interleaves, a smaller wan.queue or link.retransmit, fewer channels, or raise the limit",
        mib(memory.total()), mib(*limit)
    )]
    MemoryLimit {
        /// The code.
        code: Code,
        /// What it takes.
        memory: Memory,
        /// The limit, in bytes.
        limit: u64,
    },
}

impl BlueprintError {
    /// The key of the configuration that this is about.
    pub fn key(&self) -> &'static str {
        match self {
            BlueprintError::KeysOnTransparent => "wan.encapsulation",
            _ => "code.layers",
        }
    }
}

impl Blueprint {
    /// Whether it can be built within `limit` bytes.
    pub fn check(&self, limit: u64) -> Result<(), BlueprintError> {
        let mtu = self.wan_mtu;
        let headers = self.repair_headers();
        let least = headers + MIN_FRAME + MORE_RUNS;
        if usize::from(mtu) < least {
            return Err(BlueprintError::MtuTooSmall { mtu, headers, least });
        }
        if self.encapsulation.is_transparent() {
            self.check_transparent()?;
        }
        let window = self.decoder().window;
        let code = self.longest_code().clone();
        let span = code.span();
        if (window as u64) < span {
            return Err(BlueprintError::WindowTooSmall { window, code, span });
        }
        let code = self.code.clone();
        let memory = self.memory();
        if memory.total() > limit {
            return Err(BlueprintError::MemoryLimit { code, memory, limit });
        }
        Ok(())
    }

    /// What an operator should know though it is no error. One line each.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for (a, b) in self.code.common_factors() {
            warnings.push(format!(
                "code {}: interleaves {a} and {b} are not coprime: packets that collide in one \
                 layer collide in the other too",
                self.code
            ));
        }
        let (protected, lan) = (self.max_protected(), self.lan_frame);
        let told = match (self.mss_clamp, self.too_big) {
            (true, TooBig::Icmp) => "hosts are told so by TCP's MSS and by ICMP; others",
            (true, TooBig::Oversize) => "hosts are told so by TCP's MSS; they",
            (false, TooBig::Icmp) => "hosts are told so by ICMP; others",
            (false, TooBig::Oversize) => "they",
        };
        if self.encapsulation.is_transparent() {
            warnings.extend(self.transparent_warnings(told));
        } else if protected < lan {
            let fate = match self.oversize() {
                Oversize::Bypass => "sent unprotected if they fit as they are, else dropped",
                Oversize::Drop => "dropped",
            };
            warnings.push(format!(
                "LAN frames of {} to {lan} bytes do not fit the WAN MTU of {} with their headers: {told} \
                 will be {fate}; a WAN MTU of {} would protect them",
                protected + 1,
                self.wan_mtu,
                lan + self.repair_headers(),
            ));
        }
        let (ip, least) = (self.max_ip(), V6_LEAST_MTU);
        if ip < least && protected < lan && !self.encapsulation.is_transparent() {
            warnings.push(format!(
                "IP packets of {ip} bytes fit, and IPv6 needs {least}: larger ones of it will be \
                 unprotected or dropped; a WAN MTU of {} would protect them",
                least + OUTER_LEN + self.repair_headers(),
            ));
        }
        if self.integrity == Integrity::Off && self.keys.is_none() {
            warnings.push(
                "integrity is off: frames that the WAN damages are delivered damaged; for \
                 measurements only"
                    .to_owned(),
            );
        }
        warnings
    }
}
