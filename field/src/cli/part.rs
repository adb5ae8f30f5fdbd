//! `field part`: programs that talk across the link, as the laboratory runs them on the hosts.

use std::net::SocketAddr;

use clap::Subcommand;

use maelstrom_field::say::say;
use maelstrom_field::{Error, Result, talk};

/// See [`talk`].
#[derive(Subcommand)]
pub enum Part {
    Send {
        to: SocketAddr,
        rate: u32,
        #[arg(value_parser = clap::value_parser!(u16).range(..=65_507))]
        size: u16,
        seconds: u32,
    },
    Receive {
        at: SocketAddr,
        #[arg(value_parser = clap::value_parser!(u32).range(..=100_000_000))]
        count: u32,
    },
    Serve {
        at: SocketAddr,
    },
    Ask {
        to: SocketAddr,
        #[arg(value_parser = clap::value_parser!(u32).range(..=1000))]
        clients: u32,
        seconds: u32,
    },
    Take {
        at: SocketAddr,
    },
}

impl Part {
    /// Runs it to its end.
    ///
    /// # Errors
    /// As it has them.
    pub fn run(self) -> Result<()> {
        let times = match self {
            Part::Send { to, rate, size, seconds } => {
                return talk::send(to, rate, size.into(), seconds);
            }
            Part::Serve { at } => return talk::serve(at),
            Part::Take { at } => return talk::take(at),
            Part::Receive { at, count } => talk::receive(at, count.into())?,
            Part::Ask { to, clients, seconds } => talk::ask(to, clients, seconds)?,
        };
        say(serde_json::to_string(&times).map_err(Error::new)?);
        Ok(())
    }
}
