//! `maelstrom link`: what a running gateway's link does in both directions, before and after repair, and
//! which code would have done.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::ctl::ask;
use super::{Outcome, print};
use crate::control::request::Request;
use crate::fec::Code;
use crate::link::Account;
use crate::link::report::Interval;
use crate::link::whatif::{self, LinkView, look, seen};
use crate::safety::choice::Limits;
use crate::wire::Report;

#[derive(Args)]
pub(super) struct LinkArguments {
    /// The gateway's control.socket
    #[arg(long)]
    socket: PathBuf,
    /// As one line of JSON
    #[arg(long)]
    json: bool,
    /// Since the epoch began, not of the last minute
    #[arg(long)]
    all: bool,
}

/// What a gateway answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) code: String,
    pub(super) standing: String,
    pub(super) round_trip_ns: Option<u64>,
    pub(super) variation_ns: Option<u64>,
    pub(super) wanted: Wanted,
    /// Our channels, as the peer judges them.
    pub(super) sent: Vec<Account>,
    /// The peer's channels, as we judge them.
    pub(super) heard: Vec<Account>,
}

/// What is wanted of a code, and what it may cost.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Wanted {
    pub(super) residual: f64,
    pub(super) latency_ns: u64,
    pub(super) overhead_limit: f64,
    pub(super) largest: String,
}

/// A channel, by the sender's numbers.
#[derive(Serialize)]
struct Channel {
    channel: u8,
    epoch: u32,
    /// Packets that the sending end has numbered; unknown to the other end.
    numbered: Option<u64>,
    /// From and up to which number they were judged, of these how many, and lost of those.
    from: u64,
    to: u64,
    judged: u64,
    lost: u64,
    skipped: u64,
    missing: u64,
}

/// One direction.
#[derive(Serialize)]
struct Way {
    channels: Vec<Channel>,
    link: Option<LinkView>,
}

pub(super) fn run(arguments: &LinkArguments) -> Outcome {
    let answer = ask(&arguments.socket, &Request::Link {})?;
    let answer: Answer = serde_json::from_value(answer)
        .map_err(|error| format!("link: {error}; expected a gateway of this version"))?;
    let code: Code = answer.code.parse()?;
    let largest: Code = answer.wanted.largest.parse()?;
    let wanted = whatif::Wanted {
        residual: answer.wanted.residual,
        latency_ns: answer.wanted.latency_ns,
        limits: Limits::new(answer.wanted.overhead_limit, &largest),
    };
    let (sent, all) = intervals(&answer.sent, arguments.all);
    let sent = Way { link: all.map(|all| look(&all, sent.len(), &code, &wanted)), channels: sent };
    let (heard, all) = intervals(&answer.heard, arguments.all);
    // The peer's code is its own affair.
    let heard = Way { link: all.map(|all| seen(&all, 0.0)), channels: heard };
    let ms = |ns: Option<u64>| ns.map(|ns| (ns as f64 / 1e3).round() / 1e3);
    let (trip, variation) = (ms(answer.round_trip_ns), ms(answer.variation_ns));
    if arguments.json {
        let what_if = sent.link.as_ref().map(LinkView::what_if);
        print(json!({
            "standing": answer.standing,
            "round_trip_ms": trip,
            "variation_ms": variation,
            "code": answer.code,
            "sent": sent,
            "heard": heard,
            "what_if": what_if,
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let trip = trip.zip(variation).map_or("unknown".to_owned(), |(trip, variation)| {
        format!("{trip:.3} ms, varies by {variation:.3} ms")
    });
    print(format_args!("peer       {}; round trip {trip}", answer.standing))?;
    print(format_args!("code       {code}"))?;
    show("to the peer, as it reports", &sent)?;
    show("from the peer, of source packets", &heard)?;
    Ok(ExitCode::SUCCESS)
}

fn show(heading: &str, way: &Way) -> Result<(), String> {
    print(format_args!("\n{heading}"))?;
    let Some(link) = &way.link else { return print("nothing was judged yet") };
    for channel in &way.channels {
        let Channel { channel, numbered, from, to, judged, lost, missing, .. } = channel;
        let numbered = numbered.map_or(String::new(), |packets| format!(", {packets} numbered"));
        print(format_args!(
            "channel    {channel}{numbered}; {from} to {to}: {judged} judged, {lost} lost, {missing} missing \
             after repair"
        ))?;
    }
    print(link)
}

/// Each channel's, and all in one.
fn intervals(accounts: &[Account], all: bool) -> (Vec<Channel>, Option<Interval>) {
    let mut sum: Option<Interval> = None;
    let mut channels = Vec::new();
    for Account { numbered, from, to } in accounts {
        let (channel, epoch) = (to.channel, to.epoch);
        // Whatever lies before a first report was judged by it.
        let begin = Report { channel, epoch, ..Report::default() };
        let from = if all || from == to { &begin } else { from };
        let Some(interval) = Interval::new(from, to) else { continue };
        channels.push(Channel {
            channel,
            epoch,
            numbered: *numbered,
            from: interval.first[0],
            to: to.before.next,
            judged: interval.counts.sent,
            lost: interval.counts.lost,
            skipped: interval.skipped,
            missing: interval.missing,
        });
        match &mut sum {
            Some(sum) => sum.add(&interval),
            None => sum = Some(interval),
        }
    }
    (channels, sum)
}
