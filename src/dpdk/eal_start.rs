//! The one call of `rte_eal_init`.
//!
//! * What this room does: writes EAL's command line and runs it, in a thread of its own.
//! * Who feeds it: `eal`, with the configuration.
//! * Whom it feeds: EAL.
//! * Which thread runs it: the one that starts the gateway, once in a process.
//! * What it must not do: leave the caller pinned, or free what EAL keeps pointing to.

use super::{
    device::Device,
    eal::{EalConfig, c_string},
    eal_log,
    error::{self, EalError},
};
use std::{
    ffi::CString,
    fs,
    os::raw::{c_char, c_int},
    thread,
};

/// The argv of `rte_eal_init`.
pub(super) fn arguments(config: &EalConfig) -> Result<Vec<CString>, EalError> {
    let lcores = config.lcores.clone().unwrap_or_else(|| format!("0@({})", allowed_cpus()));
    if lcores.is_empty() || lcores.contains('\0') {
        return Err(EalError::Lcores { got: lcores });
    }
    let memory = config.memory_mib.to_string();
    let mut words = vec!["maelstrom", "--no-telemetry", "--lcores", &lcores, "-m", &memory];
    if config.hugepages {
        words.push("--in-memory");
    } else {
        words.extend(["--no-huge", "--no-shconf"]);
    }
    let mut pci =
        config.devices.iter().filter(|device| matches!(device, Device::Pci(_))).peekable();
    if pci.peek().is_none() {
        words.push("--no-pci");
    }
    for device in pci {
        words.extend(["-a", device.text()]);
    }
    Ok(words.into_iter().map(c_string).collect())
}

/// As in /proc: `0-3,8`. Isolated CPUs are not in it unless this process was put there.
fn allowed_cpus() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    list.map(str::trim).filter(|list| !list.is_empty()).unwrap_or("0").to_owned()
}

/// Runs `rte_eal_init` in a thread of its own.
pub(super) fn start(arguments: Vec<CString>) -> Result<(), EalError> {
    let run = move || {
        // Never freed: EAL and syslog keep pointers into argv.
        let mut argv: Vec<*mut c_char> = arguments.into_iter().map(CString::into_raw).collect();
        let count = argv.len() as c_int;
        argv.push(std::ptr::null_mut());
        let argv = Vec::leak(argv);
        // SAFETY: `count` NUL-terminated strings and a null pointer, all leaked; the first call
        // in this process (STARTED in `eal`).
        let result = unsafe { dpdk_sys::rte_eal_init(count, argv.as_mut_ptr()) };
        if result < 0 { Err(error::errno()) } else { Ok(()) }
    };
    let run = || eal_log::captured(run);
    let thread = thread::Builder::new().name("eal-init".into()).spawn(run)?;
    // EAL does not panic; if the thread died all the same, say so instead of spreading it.
    let result = thread.join().unwrap_or(Err(0));
    result.map_err(|errno| {
        let reason = error::reason(errno);
        match errno {
            EPERM | EACCES => EalError::Permission { reason },
            _ => EalError::Init { errno, reason },
        }
    })
}

const EPERM: i32 = 1;
const EACCES: i32 = 13;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_follow_the_configuration() {
        let text = |config: &EalConfig| {
            let words = arguments(config).unwrap();
            words.iter().map(|word| word.to_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
        };
        let lcores = Some("0@0".to_owned());
        let mut config = EalConfig { lcores, ..EalConfig::default() };
        let huge = "maelstrom --no-telemetry --lcores 0@0 -m 512 --in-memory --no-pci";
        assert_eq!(text(&config), huge);
        config.hugepages = false;
        config.devices.push(Device::parse("03:00.0").unwrap());
        let small = "maelstrom --no-telemetry --lcores 0@0 -m 512 --no-huge --no-shconf \
                     -a 0000:03:00.0";
        assert_eq!(text(&config), small);
    }
}
