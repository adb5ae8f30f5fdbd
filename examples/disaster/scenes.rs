//! What is the same in all runs, and the losses that tell the cells apart.

use maelstrom::safety::Loss;

use super::run::Scene;

/// Six layers: so that under bursts a level is worth something, too. It costs 150 %.
pub const CODE: &str = "4:79,83,89,97,101,103+g1";
/// What the WAN loses, and what it is expected to.
pub const LOSSES: [(&str, Loss); 7] = [
    ("none", Loss::Iid { rate: 1e-4 }),
    ("iid:0.001", Loss::Iid { rate: 0.001 }),
    ("iid:0.005", Loss::Iid { rate: 0.005 }),
    ("iid:0.01", Loss::Iid { rate: 0.01 }),
    ("ge:0.001,10", Loss::Ge { rate: 0.001, mean_burst: 10.0 }),
    ("ge:0.005,10", Loss::Ge { rate: 0.005, mean_burst: 10.0 }),
    ("ge:0.01,10", Loss::Ge { rate: 0.01, mean_burst: 10.0 }),
];

/// The scene of one of them.
pub fn scene(code: &str, loss: &str, floor: Loss) -> Scene {
    Scene::new(code, loss, floor)
}

/// The same without repairs: what no policy that rests on them can be asked for.
pub fn plain(code: &str, loss: &str, floor: Loss) -> Scene {
    Scene { plain: true, ..scene(code, loss, floor) }
}
