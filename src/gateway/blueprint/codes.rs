//! What encoders and decoders are made for: the codes in use, and the largest that may take their place.

use super::Blueprint;
use super::lengths::MORE_RUNS;
use crate::fec::xor::Engine;
use crate::fec::{Code, DecoderConfig, EncoderConfig};
use crate::safety::planner::LAYERS as MOST_LAYERS;

/// What a code may take that takes another's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeRoom {
    /// The largest code that was reckoned with.
    pub code: Code,
    /// In packets.
    pub span: u64,
    /// How many layers.
    pub levels: usize,
    /// What an encoder takes.
    pub bytes: usize,
}

impl Blueprint {
    /// The most levels that a packet may ever have.
    pub fn levels(&self) -> usize {
        let layers = self.code.layers().len();
        if self.largest.is_some() { layers.max(MOST_LAYERS) } else { layers }
    }

    /// The largest span of the codes in use, in packets.
    pub fn span(&self) -> u64 {
        self.longest_code().span()
    }

    /// The one with the largest span, which need not be that for dense traffic.
    pub(super) fn longest_code(&self) -> &Code {
        let sparse = self.sparse.as_ref().filter(|sparse| sparse.span() > self.code.span());
        let longest = sparse.unwrap_or(&self.code);
        self.largest.as_ref().filter(|largest| largest.span() > longest.span()).unwrap_or(longest)
    }

    /// An encoder's configuration with another code, for a change to it: see [`crate::fec::Codes`].
    pub fn encoder_for(&self, code: &Code) -> EncoderConfig {
        let [layers, ours] = [code, &self.code].map(|code| code.layers().len() as f64);
        let mut config = self.encoder();
        config.timing.flush_cap *= layers / ours;
        config.sparse = self.sparse.as_ref().map(|_| code.short());
        EncoderConfig { code: code.clone(), ..config }
    }

    /// What there is room for in an encoder, if its code is ever changed.
    pub fn room(&self) -> CodeRoom {
        let code = self.largest.as_ref().unwrap_or(&self.code).clone();
        let bytes = self.encoder_for(&code).memory_bytes().max(self.encoder().memory_bytes());
        CodeRoom { code, span: self.span(), levels: self.levels(), bytes }
    }

    /// An encoder's configuration, with the code that it begins with.
    pub fn encoder(&self) -> EncoderConfig {
        if self.encapsulation.is_transparent() {
            return self.named_encoder();
        }
        let max_frame = self.max_protected();
        EncoderConfig {
            code: self.code.clone(),
            sparse: self.sparse.clone(),
            timing: self.timing.clone(),
            max_frame,
            repair_room: (usize::from(self.wan_mtu) - self.repair_headers())
                .min(max_frame + MORE_RUNS),
            engine: Engine::detect(),
        }
    }

    pub(super) fn decoder(&self) -> DecoderConfig {
        let fitting = || DecoderConfig::window_for(self.longest_code().span());
        DecoderConfig {
            window: self.window.unwrap_or_else(fitting),
            max_frame: self.max_protected(),
            check: None,
            engine: Engine::detect(),
        }
    }
}
