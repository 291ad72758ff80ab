//! PEM blocks, and as much of DER as tells a request or a certificate from something else.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// One block: its label, whether it has headers, its bytes.
pub struct Block {
    pub label: String,
    pub headers: bool,
    pub bytes: Vec<u8>,
}

/// The blocks of a text, in order; what is between them does not matter.
pub fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some(begin) = rest.find("-----BEGIN ") {
        let after = &rest[begin + "-----BEGIN ".len()..];
        let Some((label, body)) = after.split_once("-----") else { break };
        let end = format!("-----END {label}-----");
        match body.split_once(end.as_str()) {
            Some((inside, tail)) if !label.contains('\n') => {
                let lines = || inside.lines().map(str::trim).filter(|line| !line.is_empty());
                let headers = lines().any(|line| line.contains(':'));
                let encoded: String = lines().filter(|line| !line.contains(':')).collect();
                if let Ok(bytes) = STANDARD.decode(encoded) {
                    blocks.push(Block { label: label.to_owned(), headers, bytes });
                }
                rest = tail;
            }
            _ => rest = after,
        }
    }
    blocks
}

/// The contents of one element that is all of `der`, if it has this tag.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (digits.iter().fold(0_usize, |n, digit| n << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    (found == tag).then(|| rest.split_at_checked(length)).flatten()
}

const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;

/// Whether the bytes are what is signed, how, and the signature: the outer form of requests and certificates.
pub fn is_signed(der: &[u8]) -> bool {
    let parts = || {
        let (outer, tail) = element(der, SEQUENCE)?;
        let (content, rest) = element(outer, SEQUENCE)?;
        let (_algorithm, rest) = element(rest, SEQUENCE)?;
        let (_signature, rest) = element(rest, BIT_STRING)?;
        Some(tail.is_empty() && rest.is_empty() && !content.is_empty())
    };
    parts().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_between_other_text() {
        let text = "x\n-----BEGIN A-----\nK: v\n\nAQID\n-----END A-----\ny\n-----BEGIN B-----\n!\n-----END B-----\n-----BEGIN C-----\nBA==\n-----END C-----";
        let found: Vec<_> = blocks(text).into_iter().map(|b| (b.label, b.headers, b.bytes)).collect();
        assert_eq!(found, [("A".to_owned(), true, vec![1, 2, 3]), ("C".to_owned(), false, vec![4])]);
        assert!(blocks("-----BEGIN A-----\nAQID").is_empty());
    }

    #[test]
    fn the_outer_form_is_checked() {
        let good = [0x30, 9, 0x30, 2, 2, 0, 0x30, 0, 0x03, 1, 0];
        assert!(is_signed(&good));
        for length in 0..good.len() {
            assert!(!is_signed(&good[..length]), "{length}");
        }
        assert!(!is_signed(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]));
    }
}
