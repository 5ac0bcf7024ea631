//! Hashes that are the same in every process, version and language: XXH3 with 64 bits, which is specified
//! (https://github.com/Cyan4973/xxHash) and has an implementation everywhere.

use twox_hash::XxHash3_64;

/// Where a key stands.
#[inline]
pub(super) fn hash(key: &[u8]) -> u64 {
    XxHash3_64::oneshot(key)
}

/// One of many hashes of the same text: the `seed`th number of a SplitMix64 that begins at the text's hash (Steele et al.
/// 2014, "Fast splittable pseudorandom number generators"). Not XXH3's own seed, which of a short text changes hardly more
/// than another text does: instances named `a` and `b` would be at the same places.
#[inline]
pub(super) fn hash_with(seed: u64, text: &str) -> u64 {
    const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;
    let state = hash(text.as_bytes()).wrapping_add(GAMMA.wrapping_mul(seed.wrapping_add(1)));
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_hash_is_that_of_the_specification() {
        // From the test vectors of xxHash 0.8.
        assert_eq!(hash(b""), 0x2d06_8005_38d3_94c2);
    }

    #[test]
    fn hashes_of_short_texts_are_all_different() {
        let texts: Vec<_> =
            ('a'..='z').map(String::from).chain((0..100).map(|n| format!("i{n:02}"))).collect();
        let hashes: HashSet<_> =
            texts.iter().flat_map(|text| (0..1000).map(|seed| hash_with(seed, text))).collect();
        assert_eq!(hashes.len(), texts.len() * 1000);
    }
}
