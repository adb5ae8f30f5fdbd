//! Times that no clock reaches, and readers in a hurry.

use super::*;

const MS: u64 = 1_000_000;

fn repairs_at(encoder: &mut Encoder, now: u64) -> usize {
    encoder.poll(now);
    let mut repairs = 0;
    while encoder.take_repair().is_some() {
        repairs += 1;
    }
    repairs
}

/// Times may be configured that no clock reaches, and none at all.
#[test]
fn no_time_is_too_long_or_too_short() {
    let code: Code = "2:2,3+g1".parse().unwrap();
    for (idle, latency) in [(u64::MAX, u64::MAX), (u64::MAX / 2, 0), (0, 0)] {
        let mut timing = Timing { latency, ..Timing::with_idle(&code, idle) };
        timing.age[1] = Some(u64::MAX);
        let mut encoder = Encoder::new(&EncoderConfig {
            sparse: Some(code.short()),
            timing,
            max_frame: 100,
            repair_room: 200,
            engine: Engine::detect(),
            code: code.clone(),
        });
        for now in [1, MS, 100 * MS, u64::MAX / 2] {
            encoder.push(now, 0, &[1; 60]);
            encoder.push(now, 0, &[1; 60]);
            repairs_at(&mut encoder, now);
            assert!(encoder.next_deadline().is_none_or(|next| next > now));
        }
    }
}

/// Who waits for repairs gets them sooner, once; the next packet waits as ever.
#[test]
fn hurry_shortens_the_idle_times_until_all_is_closed() {
    let code: Code = "20:97,101,103+g1".parse().unwrap();
    let mut encoder = Encoder::new(&EncoderConfig {
        sparse: Some(code.short()),
        timing: Timing::new(&code),
        max_frame: 100,
        repair_room: 200,
        engine: Engine::detect(),
        code,
    });
    encoder.push(0, 0, &[1; 60]);
    encoder.hurry(MS / 10);
    for layer in 1..=3 {
        assert_eq!(encoder.next_deadline(), Some(layer * MS / 10));
        assert_eq!(repairs_at(&mut encoder, layer * MS / 10 - 1), 0);
        assert_eq!(repairs_at(&mut encoder, layer * MS / 10), 1);
    }
    encoder.push(5 * MS, 0, &[1; 60]);
    assert_eq!(encoder.next_deadline(), Some(6 * MS));
}
