//! Lines for people: a time, what it is about, and the rest in columns.

use std::fmt::Write;

use netsync::now_ns;

use super::line::{Classes, Line};

impl Line<'_> {
    /// Its text; times count from `origin_ns`. A code has several lines.
    pub(super) fn text(&self, origin_ns: u64) -> String {
        let (at_ns, word, what) = self.parts();
        let seconds = (at_ns as i128 - i128::from(origin_ns)) as f64 / 1e9;
        format!("{seconds:>12.6}  {word:<9}{what}")
    }

    /// When, about what, and the rest.
    fn parts(&self) -> (u64, &'static str, String) {
        match self {
            Line::Gateway {
                epoch, pid, workers, state, since_ns, heartbeat_ns, now_ns, ..
            } => {
                let since = match since_ns {
                    0 => "since its start".to_owned(),
                    _ => format!("for {}", ago(*now_ns, *since_ns)),
                };
                let beat = ago(*now_ns, *heartbeat_ns);
                let workers = plural(*workers as u64, "worker");
                (
                    *now_ns,
                    "gateway",
                    format!(
                        "{state} {since}; epoch {epoch}, process {pid}, {workers}, heartbeat {beat} ago"
                    ),
                )
            }
            Line::Code { generation, code, levels, bounds } => {
                (now_ns(), "code", describe_code(*generation, code, *levels, bounds))
            }
            Line::Flow {
                local,
                remote,
                status,
                anchored,
                sent,
                in_flight,
                levels,
                acked,
                now_ns,
                ..
            } => {
                let mut text = format!("{:<44} sent {sent:<12}", format!("{local} > {remote}"));
                for (index, offset) in levels.iter().enumerate() {
                    let _ = write!(text, " level {} {offset:<12}", index + 1);
                }
                let acked = acked.map_or("-".to_owned(), |acked| acked.to_string());
                let _ = write!(text, " acked {acked:<12} in flight {in_flight}");
                for (word, said) in [(*status, *status != "open"), ("unanchored", !anchored)] {
                    if said {
                        let _ = write!(text, ", {word}");
                    }
                }
                (*now_ns, "flow", text)
            }
            Line::Repair {
                worker,
                code_id,
                layer,
                flushed,
                base,
                stride,
                count,
                runs,
                made_ns,
                left_ns,
            } => {
                let mut text = format!(
                    "worker {worker:<2} code {code_id:<3} layer {layer} of {count:>4} from {base:<12} by {stride:<5} left {:>9} after its last",
                    ago(*left_ns, *made_ns)
                );
                if *runs > 0 {
                    let _ = write!(text, ", and {}", plural(u64::from(*runs), "run"));
                }
                if *flushed {
                    text.push_str(", flushed");
                }
                (*left_ns, "repair", text)
            }
            Line::State { worker, from, to, at_ns } => {
                (*at_ns, "state", format!("worker {worker:<2} {from} -> {to}"))
            }
            Line::CodeSwitch { worker, generation } => {
                (now_ns(), "switch", format!("worker {worker:<2} code of generation {generation}"))
            }
            Line::FlowEvent { worker, slot, generation, event, local, remote } => {
                let name = match (local, remote) {
                    (Some(local), Some(remote)) => format!("{local} > {remote}"),
                    _ => format!("slot {slot}, generation {generation}"),
                };
                (now_ns(), "flow", format!("worker {worker:<2} {name} {event}"))
            }
            Line::Missed { worker, notices } => (
                now_ns(),
                "missed",
                format!(
                    "worker {worker:<2} {} overwritten before they were read; watermarks tell all they told",
                    plural(*notices, "notice")
                ),
            ),
            Line::Restarted { epoch } => (now_ns(), "gateway", format!("restarted: epoch {epoch}")),
            Line::Dead { now_ns } => (
                *now_ns,
                "gateway",
                "dead: its heartbeat has stopped; waiting for the next".to_owned(),
            ),
        }
    }
}

fn describe_code(generation: u64, code: &str, levels: usize, bounds: &Classes<&[f64]>) -> String {
    if generation == 0 {
        return "none yet".to_owned();
    }
    let mut text = format!(
        "{code}, generation {generation}; a packet in flight is lost for good with probability at most"
    );
    let margin = " ".repeat(14);
    let columns = ["dense", "sparse", "dense, flushed", "sparse, flushed"];
    let _ = write!(text, "\n{margin}{:<9}", "");
    columns.iter().for_each(|column| _ = write!(text, "{column:>16}"));
    for level in 0..levels {
        let _ = write!(text, "\n{margin}level {:<3}", level + 1);
        bounds.each().iter().for_each(|bounds| _ = write!(text, "{:>16.2e}", bounds[level]));
    }
    text
}

fn plural(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// From one time to a later one, in three digits or so.
fn ago(now_ns: u64, then_ns: u64) -> String {
    match now_ns.saturating_sub(then_ns) {
        ns @ 0..1_000 => format!("{ns} ns"),
        ns @ 1_000..1_000_000 => format!("{:.1} us", ns as f64 / 1e3),
        ns @ 1_000_000..1_000_000_000 => format!("{:.1} ms", ns as f64 / 1e6),
        ns => format!("{:.1} s", ns as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(ago(5, 7), "0 ns");
        assert_eq!(ago(1_500, 0), "1.5 us");
        assert_eq!(ago(12_340_000, 0), "12.3 ms");
        assert_eq!(ago(61_000_000_000, 0), "61.0 s");
    }
}
