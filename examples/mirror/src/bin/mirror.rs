//! The mirror: see the library's head. It serves one primary at a time.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use mirror_store::record::{Next, next};
use mirror_store::store::{Durability, Store, contents, missing};
use mirror_store::{Context, Error, Result, trouble};

/// Keeps a copy of a primary's log
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Takes records from a primary, and answers when they are on its disk
    Serve {
        /// Where the primary connects: HOST:PORT
        #[arg(long)]
        listen: String,
        /// This site's log
        #[arg(long)]
        file: PathBuf,
        /// When a record is answered: when the kernel has it, or behind an fsync (sync)
        #[arg(long, default_value = "sync")]
        durable: Durability,
    },
    /// Says what a log holds; with what clients were told, which of that is missing
    Check {
        /// The log
        log: PathBuf,
        /// What `clients --log` has written
        told: Option<PathBuf>,
        /// Another log, to compare with
        #[arg(long)]
        with: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    trouble::end(match Arguments::parse().verb {
        Verb::Serve { listen, file, durable } => serve(&listen, &file, durable),
        Verb::Check { log, told, with } => check(&log, told.as_deref(), with.as_deref()),
    })
}

fn serve(listen: &str, file: &Path, durable: Durability) -> Result<()> {
    let (mut store, torn) = Store::open(file, durable)?;
    if torn > 0 {
        eprintln!("mirror: {}: cut off a torn tail of {torn} bytes", file.display());
    }
    let listener = TcpListener::bind(listen).context(listen)?;
    eprintln!("mirror: running, {} records", store.last);
    loop {
        let (primary, from) = listener.accept().context(listen)?;
        eprintln!("mirror: a primary at {from}");
        match follow(primary, &mut store) {
            Ok(()) => eprintln!("mirror: the primary has left after record {}", store.last),
            Err(error) => eprintln!("mirror: record {}: {error}", store.last + 1),
        }
    }
}

/// Appends whole records only, so that the log has no torn tail unless this host dies.
fn follow(mut primary: TcpStream, store: &mut Store) -> Result<()> {
    primary.set_nodelay(true).context("the connection")?;
    primary.write_all(&store.last.to_le_bytes()).context("the connection")?;
    let mut buffer = vec![0; 1 << 18];
    let mut come = Vec::new();
    loop {
        let got = match primary.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(got) => got,
            Err(error) => return Err(Error::new(error)),
        };
        come.extend_from_slice(&buffer[..got]);
        let (mut whole, mut last) = (0, store.last);
        loop {
            match next(&come[whole..]) {
                Next::Record { number, bytes, .. } if number == last + 1 => {
                    (whole, last) = (whole + bytes, number);
                }
                Next::Part { .. } => break,
                _ => return Err(Error::new("what came is not the next record")),
            }
        }
        if whole > 0 {
            store.append(&come[..whole], last).context("this log")?;
            store.settle().context("this log")?;
            come.drain(..whole);
            primary.write_all(&last.to_le_bytes()).context("the connection")?;
        }
    }
}

fn check(log: &Path, told: Option<&Path>, with: Option<&Path>) -> Result<()> {
    let here = contents(log)?;
    println!("records {}, torn {} bytes", here.records.len(), here.torn);
    if let Some(told) = told {
        let (missing, told) = missing(&here, told)?;
        println!("told {told}, missing {missing}");
    }
    if let Some(with) = with {
        let there = contents(with)?;
        let same = here.records.iter().zip(&there.records).take_while(|(a, b)| a == b).count();
        println!("the same up to {same}, the other has {}", there.records.len());
    }
    Ok(())
}
