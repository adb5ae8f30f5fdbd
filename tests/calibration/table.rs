//! The table of promises and measurements, and the test that each promise is kept.

use std::fmt::Write;
use std::path::Path;

use maelstrom::fec::Code;
use maelstrom::safety::confidence::{ALPHA, binomial_tail};
use maelstrom::safety::{Bounds, Link, Loss};

use crate::channel::{Random, code};
use crate::deaths::is_whole;
use crate::losses::Chain;
use crate::stream::{Stream, Traffic};

const CODES: [&str; 5] =
    ["8:1,20,40", "8:1,19,41+g1", "8:97,101,103+g1", "20:97,101,103+g1", "8x1/64x31/64x37+g1"];
const LOSSES: [(&str, Loss); 6] = [
    ("iid:0.001", Loss::Iid { rate: 0.001 }),
    ("iid:0.01", Loss::Iid { rate: 0.01 }),
    ("ge:0.01,3", Loss::Ge { rate: 0.01, mean_burst: 3.0 }),
    ("ge:0.01,10", Loss::Ge { rate: 0.01, mean_burst: 10.0 }),
    ("ge:0.01,20", Loss::Ge { rate: 0.01, mean_burst: 20.0 }),
    ("ge:0.001,40", Loss::Ge { rate: 0.001, mean_burst: 40.0 }),
];
/// So many losses say how tight a promise is.
const TELLING: u64 = 100;

/// What happened to the updates that were at one level.
#[derive(Clone, Copy, Default)]
struct Cell {
    deaths: u64,
    lost: u64,
    /// The sum of what was promised to each.
    promised: f64,
}

struct Case<'a> {
    name: &'a str,
    code: &'a Code,
    stream: &'a Stream,
    traffic: Traffic,
    bounds: Bounds,
    chain: Chain,
    loss: &'a str,
    packets: usize,
}

impl Case<'_> {
    /// Deaths at the very instant at which an update reaches a level, and at random instants until
    /// it has reached the last.
    ///
    /// A packet that arrives proves nothing, so of an update of one packet only the deaths at which
    /// it is lost are drawn; what comes of them counts with the probability of that.
    fn cells(&self, deaths: usize, random: &mut Random) -> Vec<Cell> {
        let levels = self.code.layers().len();
        let mut cells = vec![Cell::default(); levels];
        let reach = self.code.span() as usize * 5 / 4 + 64;
        for n in 0..deaths {
            let room = self.stream.range.len() - self.packets;
            let first = self.stream.range.start + random.below(room as u64) as usize;
            let update = first..first + self.packets;
            let sent = self.stream.sources[update.end - 1];
            let Some(last) = self.stream.reaches(&update, levels) else { continue };
            let death = match n % (levels + 1) {
                0 => sent + random.below((last - sent + 2) as u64) as usize,
                level => self.stream.reaches(&update, level).expect("a lower level").max(sent),
            };
            let left = |p: usize| self.stream.covers[p].partition_point(|cover| cover.at <= death);
            let reached = update.clone().map(left).min().unwrap_or(0).min(levels);
            if reached == 0 {
                continue;
            }
            let known = (self.packets == 1).then_some(first);
            let whole = is_whole(self.stream, &update, death, reach, &self.chain, known, random);
            for (level, cell) in (1..=reached).zip(&mut cells) {
                let packet = |p: usize| {
                    let covers = &self.stream.covers[p][..left(p)];
                    self.bounds.packet_of(covers.iter().map(|cover| cover.class), level)
                };
                let promised: f64 = update.clone().map(packet).sum();
                cell.deaths += 1;
                cell.lost += u64::from(!whole);
                cell.promised += (promised / self.weight()).min(1.0);
            }
        }
        cells
    }

    /// The probability of what all deaths have in common.
    fn weight(&self) -> f64 {
        if self.packets == 1 { self.chain.rate } else { 1.0 }
    }

    /// Writes a line for each level; returns those in which the promise was broken.
    fn report(&self, cells: &[Cell], table: &mut String) -> Vec<String> {
        let mut broken = Vec::new();
        for (level, cell) in (1..).zip(cells).filter(|(_, cell)| cell.deaths > 0) {
            let promised = cell.promised / cell.deaths as f64;
            let measured = cell.lost as f64 / cell.deaths as f64;
            let tight = match cell.lost {
                TELLING.. => format!("{:.1}", promised / measured),
                _ => "-".to_owned(),
            };
            let line = format!(
                "{}\t{}\t{:?}\t{}\t{level}\t{}\t{}\t{:.1e}\t{:.1e}\t{tight}",
                self.name,
                self.loss,
                self.traffic,
                self.packets,
                cell.deaths,
                cell.lost,
                measured * self.weight(),
                promised * self.weight(),
            );
            // One-sided, 99.9 %: so many losses or more are too unlikely if the promise is true.
            if binomial_tail(cell.lost, cell.deaths, promised) < ALPHA {
                broken.push(line.clone());
            }
            let _ = writeln!(table, "{line}");
        }
        broken
    }
}

/// `scale` times as many deaths, of more updates, as take half a minute.
fn calibrate(name: &str, scale: usize) {
    let mut table = String::from(
        "code\tloss\ttraffic\tpackets\tlevel\tdeaths\tlost\tmeasured\tpromised\tpromised/measured\n",
    );
    let mut broken = Vec::new();
    for text in CODES {
        let code = code(text);
        for traffic in [Traffic::Dense, Traffic::Sparse] {
            let stream = Stream::new(&code, traffic, 20_000 + 20_000 * scale.min(5), 11);
            for (loss_name, loss) in LOSSES {
                let bounds = Bounds::new(&code, Some(&code.short()), &Link::new(loss));
                let chain = Chain::new(loss);
                for (packets, deaths) in [(1, 700), (64, 500)] {
                    let case = Case {
                        name: text,
                        code: &code,
                        stream: &stream,
                        traffic,
                        bounds,
                        chain,
                        loss: loss_name,
                        packets,
                    };
                    let mut random = Random::new(5);
                    let cells = case.cells(deaths * scale, &mut random);
                    broken.extend(case.report(&cells, &mut table));
                }
            }
        }
    }
    if std::env::var_os("BLESS").is_some_and(|bless| bless == "1") {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/calibration").join(name);
        std::fs::write(&path, &table).expect("the table can be written");
    }
    assert!(broken.is_empty(), "promises broken:\n{}", broken.join("\n"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/calibration").join(name);
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == table, "{name} is now\n{table}\nBLESS=1 accepts it");
}

#[test]
fn no_more_is_lost_than_was_promised() {
    calibrate("calibration_table.tsv", 1);
}

#[test]
#[ignore = "takes five minutes; makes the table that docs/SAFETY.md discusses"]
fn no_more_is_lost_than_was_promised_at_length() {
    calibrate("calibration_large.tsv", 12);
}
