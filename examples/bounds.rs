//! What one packet risks at each level, for some codes and links: the table of docs/SAFETY.md.
//!
//! `cargo run --release --no-default-features --example bounds`

use maelstrom::fec::{Code, CodeError};
use maelstrom::safety::{Bounds, Class, Link, Loss};

const CODES: [&str; 4] =
    ["8:1,20,40", "8:97,101,103+g1", "20:97,101,103+g1", "64:97,101,103,107+g1"];
const LOSSES: [(&str, Loss); 2] = [
    ("iid", Loss::Iid { rate: 0.01 }),
    ("bursts of 20", Loss::Ge { rate: 0.01, mean_burst: 20.0 }),
];

fn main() -> Result<(), CodeError> {
    println!("| code | losses | class | level 1 | 2 | 3 | 4 |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for text in CODES {
        let code: Code = text.parse()?;
        for (name, loss) in LOSSES {
            let bounds = Bounds::new(&code, Some(&code.short()), &Link::new(loss));
            for class in Class::ALL {
                let level = |level| match level <= code.layers().len() {
                    true => format!("{:.1e}", bounds.packet(class, level)),
                    false => String::new(),
                };
                let levels: Vec<String> = (1..=4).map(level).collect();
                println!("| {text} | {name} | {class:?} | {} |", levels.join(" | "));
            }
        }
    }
    Ok(())
}
