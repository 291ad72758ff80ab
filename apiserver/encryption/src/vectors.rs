//! Values that other code has sealed: they must open here. Made by `tests/vectors.py`.

use crate::cipher::Cipher;
use crate::seed::Seed;

const PLAIN: &[u8] = b"\x01\x0d\0\0\0{\"kind\":\"Secret\",\"data\":{\"password\":\"aHVudGVyMg==\"}}";
const AAD: &[u8] = b"/registry/core/secrets/default/s";

enum Kind {
    Cbc,
    Gcm,
    Secretbox,
    Seed,
}

/// Name, algorithm, bytes of the key (0, 1, 2…), sealed value.
#[rustfmt::skip]
const SEALED: &[(&str, Kind, u8, &str)] = &[
    ("cbc 16", Kind::Cbc, 16, "6465666768696a6b6c6d6e6f707172730cfbdd14320407a87216c98114672abf851c9aeb18adb4dc96b85d4f25cd1c9b1713a89d29b7b6407c227808193f70ed4778d8a64c7ade4d79c490530c631745"),
    ("cbc 24", Kind::Cbc, 24, "6465666768696a6b6c6d6e6f707172736dfcb489e140f0c5593f6132e5b94cd8c62002da4beb1191ca1ab0dafd3391aab7ec5c7f10c418fff27e12f621819737a248383a59e9eaefa178d85a3e3c454f"),
    ("cbc 32", Kind::Cbc, 32, "6465666768696a6b6c6d6e6f7071727383aea3477018e1b2dcd905e522abd818d9e025738e709ec917ef263b4b7e80e8179ac6ec4a5410cd8fea6187ae1c4738c20901ae263f5b37940926dbbf72bef2"),
    ("gcm 16", Kind::Gcm, 16, "6465666768696a6b6c6d6e6f1b6f4ea5db799a91f2503332bce8788953fa1d8bb085ff3e951bd0b58689d583db8f2153e46a43b3b07a460edbf720408de45014a03b6355be353668d773e02eaa8f12189caf9996f2"),
    ("gcm 24", Kind::Gcm, 24, "6465666768696a6b6c6d6e6fe865bb7c52d42c53babf8623c0d0c8dbbe2b3bbed8a5538be03729e88c15ba303b2774e83767209244b102f97a7744ab3617633fbc308060c4cff202c10c480578debcb73f6659ba39"),
    ("gcm 32", Kind::Gcm, 32, "6465666768696a6b6c6d6e6f4916de66799274f5570c3bcae047399821b0637ea940d116c6a5cd6ac1d88738f59a33b72360ff26c7d11977ab37ae884d22d5801d776355879925665c47dbfbb5cbd1e4411d5290f1"),
    ("secretbox", Kind::Secretbox, 32, "6465666768696a6b6c6d6e6f707172737475767778797a7bb1a19263c9a880dc76d1954b00c01e9303b499c93acdec82d99347b60da6f07d5dd85dd3c68a697fc77823b630f0ebf8c91c876f2045ffc6cf34762a5666b92297e9e37f2fbb1b227e"),
    ("seed", Kind::Seed, 32, "c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e76465666768696a6b6c6d6e6f22fdcbee84650b2005f715d7b5db1ba5aa51ae97f5c59ba12cfc4c7b4c988d8d9055bd5361c3c43d6ede7aaabfd724b2db90bc9fef446a3b15666c479e11d78747511bb116a7eb194c"),
];

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

#[test]
fn values_sealed_elsewhere_open_here() {
    for (name, kind, len, sealed) in SEALED {
        let key: Vec<u8> = (0..*len).collect();
        let sealed = hex(sealed);
        let opened = match kind {
            Kind::Cbc => Cipher::cbc(&key).unwrap().open(&sealed, AAD).unwrap(),
            Kind::Gcm => Cipher::gcm(&key).unwrap().open(&sealed, AAD).unwrap(),
            Kind::Secretbox => Cipher::secretbox(&key).unwrap().open(&sealed, AAD).unwrap(),
            Kind::Seed => Seed::new(&key).unwrap().open(&sealed, AAD).unwrap(),
        };
        assert_eq!(opened, PLAIN, "{name}");
    }
}
