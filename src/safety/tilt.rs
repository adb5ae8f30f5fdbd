//! Worse links that tell of better ones: a chain of losses, tilted exponentially.
//!
//! With z for each lost packet, the transition matrix of the chain becomes [[1 − e, e·z], [1 − s, s·z]].
//! With that one's largest eigenvalue λ and right eigenvector (1, h), it is a chain again if each entry
//! is divided by λ and its row's entry of the vector, and multiplied by its column's (Siegmund,
//! Importance sampling in the Monte Carlo study of sequential tests, 1976). That chain loses more, in
//! longer runs too. A stretch of m packets that begins and ends with a loss, n of them lost, is
//! λ^(m − 1)·z^(1 − n) as likely on the link as on the worse one, and its beginning by the ratio of
//! their loss rates.

use super::link::Loss;

/// A chain that loses more, and how much rarer in truth what it brings about is.
pub(super) struct Tilt {
    /// P(a good packet is followed by a bad one), P(a bad one is).
    pub(super) enter: f64,
    pub(super) stay: f64,
    /// ln λ for each wire packet, and ln z.
    packet: f64,
    lost: f64,
    /// ln of the ratio of the loss rates.
    begin: f64,
    per_packet: f64,
}

impl Tilt {
    pub(super) fn new(loss: &Loss, times: f64, per_packet: f64) -> Tilt {
        let (rate, burst) = (loss.rate(), loss.mean_burst());
        let enter = (rate / ((1.0 - rate) * burst)).min(1.0);
        let stay = 1.0 - 1.0 / burst;
        let tilted = |z: f64| {
            let (trace, determinant) = (1.0 - enter + stay * z, (stay - enter) * z);
            let value = (trace + (trace * trace - 4.0 * determinant).max(0.0).sqrt()) / 2.0;
            let h = (value - (1.0 - enter)) / (enter * z);
            let tilted = Tilt {
                enter: (enter * z * h / value).clamp(0.0, 1.0),
                stay: (stay * z / value).clamp(0.0, 1.0),
                packet: value.ln(),
                lost: z.ln(),
                begin: 0.0,
                per_packet,
            };
            let share = tilted.enter / (tilted.enter + 1.0 - tilted.stay);
            Tilt { begin: (rate / share).ln(), ..tilted }
        };
        if times == 1.0 {
            return Tilt { enter, stay, packet: 0.0, lost: 0.0, begin: 0.0, per_packet };
        }
        let wanted = -times.ln();
        let (mut low, mut high) = (0.0, 5.0);
        for _ in 0..60 {
            let middle: f64 = (low + high) / 2.0;
            if tilted(middle.exp()).begin > wanted { low = middle } else { high = middle }
        }
        tilted(f64::exp(low))
    }

    /// Of a stretch of `packets` source packets with their repairs, of which `lost` were lost.
    pub(super) fn weight(&self, packets: i64, lost: i64) -> f64 {
        let packets = packets as f64 * self.per_packet;
        (self.begin + packets * self.packet - (lost - 1) as f64 * self.lost).exp()
    }
}
