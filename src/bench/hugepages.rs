//! Hugepages for the length of a benchmark: reserved by root, and given back.

use std::fs;

const COUNT: &str = "/proc/sys/vm/nr_hugepages";
const INFO: &str = "/proc/meminfo";
/// What DPDK and the system count in.
const PAGE: u64 = 2 << 20;

/// Hugepages that were reserved for us. Dropped, so many fewer are reserved: whoever else has changed
/// the count meanwhile keeps theirs.
pub struct Hugepages {
    ours: u64,
}

impl Hugepages {
    /// Makes sure that `bytes` of hugepages are free; what is wrong otherwise, in one line.
    pub fn reserve(bytes: u64) -> Result<Hugepages, String> {
        let wanted = bytes.div_ceil(PAGE);
        let free = free()?;
        if free >= wanted {
            return Ok(Hugepages { ours: 0 });
        }
        let before = read_count()?;
        let total = before + wanted - free;
        let refused = |error| format!("{COUNT}: {error}; as root: echo {total} > {COUNT}");
        fs::write(COUNT, total.to_string()).map_err(refused)?;
        // From here on, giving up means giving back.
        let reserved = Hugepages { ours: total - before };
        match self::free()? {
            got if got >= wanted => Ok(reserved),
            got => Err(format!("{wanted} hugepages are wanted, memory had {got} to give")),
        }
    }
}

impl Drop for Hugepages {
    fn drop(&mut self) {
        if self.ours == 0 {
            return;
        }
        let left = read_count().map(|count| count.saturating_sub(self.ours));
        let given = left.and_then(|left| {
            fs::write(COUNT, left.to_string()).map_err(|error| format!("{COUNT}: {error}"))
        });
        if let Err(error) = given {
            log::warn!("{error}; {} hugepages stay reserved", self.ours);
        }
    }
}

fn read_count() -> Result<u64, String> {
    let text = fs::read_to_string(COUNT).map_err(|error| format!("{COUNT}: {error}"))?;
    text.trim().parse().map_err(|_| format!("{COUNT} holds {text:?}"))
}

fn free() -> Result<u64, String> {
    let text = fs::read_to_string(INFO).map_err(|error| format!("{INFO}: {error}"))?;
    let value = |key: &str| {
        let line = text.lines().find(|line| line.starts_with(key))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    match (value("HugePages_Free:"), value("Hugepagesize:")) {
        (Some(free), Some(2048)) => Ok(free),
        _ => Err("this system's hugepages are not of 2 MiB".to_owned()),
    }
}
