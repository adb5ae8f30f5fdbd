//! A storage process: writes records to its mirror over TCP, and after each waits until it is as safe as
//! asked for, instead of waiting for the mirror's answer. Prints how long that took.
//!
//! ```text
//! storage SOCKET MIRROR:PORT RECORDS POLICY      POLICY: level:N, prob:P or acked
//! ```
//!
//! When the gateway can't say more about a record, the kernel's acknowledgement must do: that is
//! the policy of this process; another may prefer to fail. `examples/c/storage.c` is the same in C.

use std::error::Error;
use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use netsync::{Reached, Subscriber, Target, WaitMode};

const RECORD: usize = 4096;
const USAGE: &str = "usage: storage SOCKET MIRROR:PORT RECORDS level:N|prob:P|acked";

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [socket, mirror, records, policy] = args.as_slice() else { return Err(USAGE.into()) };
    let records = records.parse().ok().filter(|&records: &usize| records > 0).ok_or(USAGE)?;
    let target = match policy.split_once(':') {
        Some(("level", level)) => Target::Level(level.parse()?),
        Some(("prob", p)) => Target::Probability(p.parse()?),
        None if policy == "acked" => Target::Acked,
        _ => return Err(USAGE.into()),
    };
    let gateway = Subscriber::connect(socket)?;
    let mut stream = TcpStream::connect(mirror)?;
    stream.set_nodelay(true)?;
    let mut flow = gateway.flow(&stream)?;
    flow.set_mode(WaitMode::Block);

    let (mut offset, mut by_repairs, mut fallbacks) = (0, 0, 0);
    let mut took = Vec::with_capacity(records);
    for _ in 0..records {
        let began = Instant::now();
        stream.write_all(&[0; RECORD])?;
        offset += RECORD as u64;
        let outcome = match flow.wait(offset, target, Duration::from_secs(10)) {
            Ok(outcome) => outcome,
            Err(reason) => {
                if fallbacks == 0 {
                    eprintln!("storage: waiting for the mirror instead: {reason}");
                }
                fallbacks += 1;
                flow.wait(offset, Target::Acked, Duration::from_secs(60))?
            }
        };
        by_repairs += usize::from(matches!(outcome.reached, Reached::Level(_)));
        took.push(began.elapsed());
    }
    took.sort();
    println!("records {records}, {by_repairs} by repairs alone, {fallbacks} by falling back");
    let [median, most, maximum] =
        [records / 2, records * 99 / 100, records - 1].map(|i| took[i].as_nanos() as f64 / 1e3);
    println!("latency median {median:.1} us, 99 % {most:.1} us, maximum {maximum:.1} us");
    Ok(())
}
