//! Hashes that are the same in every process, version and language: XXH3 with 64 bits, which is specified
//! (https://github.com/Cyan4973/xxHash) and has an implementation everywhere.

use twox_hash::XxHash3_64;

/// Where a key stands.
#[inline]
pub(super) fn hash(key: &[u8]) -> u64 {
    XxHash3_64::oneshot(key)
}

/// One of many hashes of the same text.
#[inline]
pub(super) fn hash_with(seed: u64, text: &str) -> u64 {
    XxHash3_64::oneshot_with_seed(seed, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_the_specification() {
        // From the test vectors of xxHash 0.8.
        assert_eq!(hash(b""), 0x2d06_8005_38d3_94c2);
        assert_eq!(hash(b"foobar"), hash_with(0, "foobar"));
        assert_ne!(hash(b"foobar"), hash_with(1, "foobar"));
    }
}
