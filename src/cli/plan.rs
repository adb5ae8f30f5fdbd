//! `maelstrom plan`: see [`crate::safety::planner`].

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::{Outcome, print};
use crate::fec::Code;
use crate::gateway::Side;
use crate::gateway::blueprint::{Blueprint, mib};
use crate::safety::Loss;
use crate::safety::plan::{Goal, Plan, explain};
use crate::safety::planner::{Found, search, yardsticks};
use crate::units::{parse_rate, parse_time, show_rate, show_time};

/// The largest packet that is planned for, in bytes.
const MAX_PACKET: u32 = 16_000;

#[derive(Args)]
#[command(allow_negative_numbers = true)]
pub(super) struct PlanArguments {
    /// The share of packets that the link loses, e.g. 0.01
    #[arg(long)]
    loss: f64,
    /// The mean length of a run of losses, in packets [default: independent losses]
    #[arg(long)]
    burst: Option<f64>,
    /// The rate of LAN traffic
    #[arg(long, default_value = "10Gbps", value_parser = finite_rate)]
    rate: u64,
    /// The size of its packets, in bytes
    #[arg(long, default_value_t = 1500)]
    packet: u32,
    /// The round trip time: 99 % of recoveries are to be done within a quarter of it
    #[arg(long, value_parser = parse_time, required_unless_present_any = ["latency", "explain"])]
    rtt: Option<u64>,
    /// How soon 99 % of recoveries are to be done, if not within a quarter of --rtt
    #[arg(long, value_parser = parse_time)]
    latency: Option<u64>,
    /// The largest share of packets that may never be recovered
    #[arg(long, default_value_t = 1e-7)]
    residual: f64,
    /// How many packets an update has in flight when the site dies
    #[arg(long, default_value_t = 1)]
    update: u64,
    /// Explain this code instead of searching
    #[arg(long, value_name = "CODE")]
    explain: Option<Code>,
    /// Print JSON: an array of codes, the best first
    #[arg(long)]
    json: bool,
}

fn finite_rate(text: &str) -> Result<u64, String> {
    match parse_rate(text) {
        Ok(Some(rate)) if rate > 0 => Ok(rate),
        Ok(_) => Err("expected a finite rate above 0, e.g. 10Gbps".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// A plan, and the memory that a gateway takes with it.
#[derive(Serialize)]
struct Priced<'a> {
    #[serde(flatten)]
    plan: &'a Plan,
    memory_bytes: u64,
}

impl PlanArguments {
    fn goal(&self) -> Result<Goal, String> {
        // NaN fails each of these.
        let within = |what: &str, got: f64, range: std::ops::Range<f64>, expected: &str| {
            if range.contains(&got) && got != 0.0 {
                return Ok(());
            }
            Err(format!("--{what} {got}: expected {expected}"))
        };
        within("loss", self.loss, 0.0..0.5, "a share above 0 and below 0.5, e.g. 0.01")?;
        within("residual", self.residual, 0.0..1.0, "a share above 0 and below 1, e.g. 1e-7")?;
        if let Some(burst) = self.burst {
            within("burst", burst, 1.0..10_001.0, "a number of packets from 1 to 10000, e.g. 20")?;
        }
        if !(40..=MAX_PACKET).contains(&self.packet) {
            let packet = self.packet;
            return Err(format!("--packet {packet}: expected bytes from 40 to {MAX_PACKET}"));
        }
        let latency = self.latency.or(self.rtt.map(|rtt| rtt / 4)).unwrap_or(u64::MAX);
        if latency == 0 || self.update == 0 {
            return Err(
                "--latency, a quarter of --rtt and --update: expected more than 0".to_owned()
            );
        }
        Ok(Goal {
            loss: match self.burst.filter(|&burst| burst > 1.0 / (1.0 - self.loss)) {
                Some(mean_burst) => Loss::Ge { rate: self.loss, mean_burst },
                None => Loss::Iid { rate: self.loss },
            },
            packets_per_second: self.rate as f64 / (8.0 * f64::from(self.packet)),
            residual: self.residual,
            latency_ns: latency,
            update: self.update,
        })
    }

    fn memory(&self, code: &Code) -> u64 {
        let blueprint = Blueprint::new(Side::West, code.clone());
        let lan_frame = blueprint.lan_frame.max(self.packet as usize);
        let wan_mtu = blueprint.wan_mtu.max(lan_frame as u16 + 200);
        Blueprint { lan_frame, wan_mtu, ..blueprint }.memory().total()
    }

    fn print_json(&self, plans: &[&Plan]) -> Result<(), Box<dyn std::error::Error>> {
        let priced: Vec<Priced> = plans
            .iter()
            .map(|&plan| Priced { plan, memory_bytes: self.memory(&plan.code) })
            .collect();
        Ok(print(serde_json::to_string_pretty(&priced)?)?)
    }

    fn heading(&self, goal: &Goal) -> String {
        let losses = match goal.loss {
            Loss::Ge { mean_burst, .. } => format!("in bursts of {mean_burst} on average"),
            _ => "independently".to_owned(),
        };
        let mut heading = format!(
            "link    {} % lost, {losses}\ntraffic {:.0} packets/s: {} of {} bytes each\n",
            percent(self.loss),
            goal.packets_per_second,
            show_rate(Some(self.rate)),
            self.packet,
        );
        if goal.latency_ns < u64::MAX {
            heading += &format!(
                "wanted  at most {:.1e} never recovered, 99 % of recoveries within {} ({:.0} packets)\n",
                goal.residual,
                show_time(goal.latency_ns),
                goal.budget()
            );
        }
        heading
    }

    fn table(&self, title: &str, plans: &[&Plan]) -> String {
        let width = plans.iter().map(|plan| plan.code.to_string().len()).max().unwrap_or(0).max(20);
        let mut table = format!(
            "\n{title:<width$} {:>9} {:>9} {:>17} {:>6} {:>8} {:>8}\n",
            "overhead", "residual", "recovered, mean/99%", "burst", "span", "memory"
        );
        for plan in plans {
            let mark = if plan.residual_measured { " " } else { "~" };
            table += &format!(
                "{:<width$} {:>7} % {mark}{:>8.1e} {:>9} /{:>8} {:>6} {:>8} {:>4} MiB\n",
                plan.code.to_string(),
                percent(plan.overhead),
                plan.residual,
                time(plan.recovery_delay_expected_ns),
                time(plan.recovery_delay_ns),
                plan.burst_always_recovered,
                plan.span_packets,
                mib(self.memory(&plan.code)),
            );
        }
        table
    }

    fn levels(&self, plans: &[&Plan]) -> String {
        let width = plans.iter().map(|plan| plan.code.to_string().len()).max().unwrap_or(0).max(20);
        let packets = match self.update {
            1 => "1 packet".to_owned(),
            n => format!("{n} packets"),
        };
        let mut lines = format!(
            "\nat each level: by when 99 % of packets are there, and the most that an update of {packets}\n\
             risks if the site dies then\n"
        );
        for plan in plans {
            let levels = plan.time_to_level_ns.iter().zip(&plan.update_loss_at_level);
            let levels: Vec<String> =
                levels.map(|(&at, loss)| format!("{:>8} {loss:.0e}", time(at))).collect();
            lines += &format!("{:<width$} {}\n", plan.code.to_string(), levels.join(" "));
        }
        lines
    }
}

/// For reading: at most four digits.
fn percent(share: f64) -> String {
    let percent = format!("{:.2}", 100.0 * share);
    match share {
        0.0001.. => percent.trim_end_matches('0').trim_end_matches('.').to_owned(),
        _ => format!("{:.1e}", 100.0 * share),
    }
}

fn time(ns: u64) -> String {
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => format!("{:.0} us", ns as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} ms", ns as f64 / 1e6),
        _ => format!("{:.2} s", ns as f64 / 1e9),
    }
}

/// Exit status 1 when no code does what is asked.
pub(super) fn run(arguments: &PlanArguments) -> Outcome {
    let goal = arguments.goal()?;
    if let Some(code) = &arguments.explain {
        let plan = explain(code, &goal);
        return explained(arguments, &goal, &plan);
    }
    let found = search(&goal);
    let nearest = found.faultless.iter().chain(&found.in_time);
    let plans: Vec<&Plan> = found.plans.iter().chain(nearest).collect();
    if arguments.json {
        arguments.print_json(&plans)?;
    } else {
        let yardsticks = yardsticks(&goal);
        let yardsticks: Vec<&Plan> = yardsticks.iter().collect();
        let mut text = arguments.heading(&goal);
        if found.plans.is_empty() {
            text += &what_can_not_be_had(&found, &goal);
        }
        if !plans.is_empty() {
            text += &arguments.table("code", &plans);
        }
        text += &arguments.table("as published, and all twice", &yardsticks);
        text += &arguments.levels(&plans.iter().chain(&yardsticks).copied().collect::<Vec<_>>());
        text += "\n~ reckoned, since too rare to simulate";
        print(text)?;
    }
    Ok(ExitCode::from(u8::from(found.plans.is_empty())))
}

fn explained(arguments: &PlanArguments, goal: &Goal, plan: &Plan) -> Outcome {
    if arguments.json {
        arguments.print_json(&[plan])?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = arguments.heading(goal);
    text += &arguments.table("code", &[plan]);
    text += &arguments.levels(&[plan]);
    for (a, b) in plan.code.common_factors() {
        text +=
            &format!("\ninterleaves {a} and {b} are not coprime: packets may share several groups");
    }
    if goal.latency_ns < u64::MAX {
        let does = if plan.meets(goal) { "does" } else { "does not do" };
        text += &format!("\nit {does} what is wanted");
    }
    print(text)?;
    Ok(ExitCode::SUCCESS)
}

fn what_can_not_be_had(found: &Found, goal: &Goal) -> String {
    let mut text = format!(
        "\nNo code was found that does both: {} are too few packets for these losses.\n",
        format_args!("{:.1}", goal.budget())
    );
    if let Some(plan) = &found.faultless {
        text += &format!(
            "{} leaves {:.0e}, but 99 % of its recoveries take up to {}.\n",
            plan.code,
            plan.residual,
            time(plan.recovery_delay_ns)
        );
    }
    if let Some(plan) = &found.in_time {
        text += &format!(
            "{} is in time, {} at 99 %, but leaves {:.0e}.\n",
            plan.code,
            time(plan.recovery_delay_ns),
            plan.residual
        );
    }
    text
}
