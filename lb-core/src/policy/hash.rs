//! A hash for selection that is the same in every process on every machine.

/// Returns the 64-bit FNV-1a hash over the parts, finished with the finaliser of SplitMix64: FNV alone makes the low
/// bits of similar keys (addresses, short paths) so similar that a remainder would not be well distributed. The hash
/// does not protect secrets: anybody who knows the function can choose keys with the same hash.
pub(super) fn hash(parts: &[&[u8]]) -> u64 {
    let step = |state: u64, &byte: &u8| (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let mut state = 0xcbf2_9ce4_8422_2325_u64;
    for part in parts {
        state = part.iter().fold(state, step);
        // A separator makes the end of each part significant.
        state = step(state, &0xff);
    }
    mix(state)
}

/// The finaliser of SplitMix64, in which each bit of the result depends on each bit of `state`.
pub(super) const fn mix(state: u64) -> u64 {
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_hashes_alike_everywhere_and_its_parts_do_not_run_together() {
        assert_eq!(hash(&[b"ab", b"c"]), hash(&[b"ab", b"c"]));
        assert_ne!(hash(&[b"ab", b"c"]), hash(&[b"a", b"bc"]));
        // The finaliser's value for FNV-1a's offset basis: a change here changes every recorded trace.
        assert_eq!(hash(&[]), mix(0xcbf2_9ce4_8422_2325));
        assert_eq!(mix(0), 0);
        // SplitMix64 seeded with 0: its first output is the finaliser of the golden gamma.
        assert_eq!(mix(0x9e37_79b9_7f4a_7c15), 0xe220_a839_7b1d_cdaf);
    }
}
