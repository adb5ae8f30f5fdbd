//! Short frames, which are copied rather than held on to.

/// Frames of up to this many bytes are copied: cheaper than to keep hold of a packet, which costs two
/// reference counts, and than to touch it again long after.
pub const SHORT: usize = 128;

/// Copies the first [`SHORT`] bytes, or all if there are fewer, by a few moves of fixed lengths,
/// which may overlap: cheaper than a call that looks for the best way. Returns how many.
#[inline]
pub fn copy_short(frame: &[u8], to: &mut [u8; SHORT]) -> u8 {
    let frame = &frame[..frame.len().min(SHORT)];
    let len = frame.len();
    if let Some((head, tail)) = frame.first_chunk::<64>().zip(frame.last_chunk::<64>()) {
        to[..64].copy_from_slice(head);
        to[len - 64..len].copy_from_slice(tail);
    } else if let Some((head, tail)) = frame.first_chunk::<32>().zip(frame.last_chunk::<32>()) {
        to[..32].copy_from_slice(head);
        to[len - 32..len].copy_from_slice(tail);
    } else {
        to[..len].copy_from_slice(frame);
    }
    len as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_frames_are_copied_whole() {
        let frame: Vec<u8> = (1..=200).collect();
        for len in 0..=200 {
            let mut to = [0; SHORT];
            let copied = usize::from(copy_short(&frame[..len], &mut to));
            assert_eq!((copied, &to[..copied]), (len.min(SHORT), &frame[..len.min(SHORT)]));
            assert!(to[copied..].iter().all(|&byte| byte == 0));
        }
    }
}
