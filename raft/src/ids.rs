//! Deterministic 64-bit ids from names, the same on every machine and in every version.

/// FNV-1a over the length-prefixed parts, then a finishing mix so that close names give distant ids. Never 0, which
/// means "nobody" on the wire.
pub(crate) fn hash(parts: &[&[u8]]) -> u64 {
    let mut h: u64 = 0xcbf2_9ce4_8422_2325;
    let mut eat = |byte: u8| h = (h ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    for part in parts {
        (part.len() as u64).to_be_bytes().into_iter().for_each(&mut eat);
        part.iter().copied().for_each(&mut eat);
    }
    h = (h ^ (h >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    h = (h ^ (h >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    (h ^ (h >> 33)).max(1)
}

#[cfg(test)]
mod tests {
    use super::hash;

    #[test]
    fn is_stable_and_separates_parts() {
        assert_eq!(hash(&[b"a", b"b"]), hash(&[b"a", b"b"]));
        assert_ne!(hash(&[b"ab"]), hash(&[b"a", b"b"]));
        assert_ne!(hash(&[b"a", b""]), hash(&[b"", b"a"]));
        assert_ne!(hash(&[]), 0);
    }
}
