//! Cipher suites by Go's names, as `--tls-cipher-suites` spells them.

use rustls::crypto::ring::cipher_suite::{
    TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, TLS13_AES_128_GCM_SHA256,
    TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256,
};
use rustls::{SupportedCipherSuite, SupportedProtocolVersion};

/// TLS 1.2 suites. The names without a hash are old spellings of the same.
const TLS12: &[(&str, SupportedCipherSuite)] = &[
    ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305", TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305", TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
];

/// TLS 1.3 suites are always on, as in Go: their names are accepted and select nothing.
const TLS13: &[(&str, SupportedCipherSuite)] = &[
    ("TLS_AES_128_GCM_SHA256", TLS13_AES_128_GCM_SHA256),
    ("TLS_AES_256_GCM_SHA384", TLS13_AES_256_GCM_SHA384),
    ("TLS_CHACHA20_POLY1305_SHA256", TLS13_CHACHA20_POLY1305_SHA256),
];

/// Names that Go knows and that are never offered here: no forward secrecy, CBC, RC4, 3DES. Accepted, so that a
/// configuration that lists them among others works.
const WEAK: &[&str] = &[
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_RC4_128_SHA",
    "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_RSA_WITH_RC4_128_SHA",
];

/// The suites that these names allow, and whether TLS 1.2 is among them. No names: all.
pub fn select(names: &[String]) -> Result<(Vec<SupportedCipherSuite>, bool), String> {
    let mut chosen: Vec<SupportedCipherSuite> = TLS13.iter().map(|(_, suite)| *suite).collect();
    let fixed = chosen.len();
    let default: Vec<String> = TLS12.iter().map(|(name, _)| (*name).to_owned()).collect();
    for name in if names.is_empty() { &default } else { names } {
        match TLS12.iter().find(|(known, _)| known == name) {
            Some((_, suite)) if chosen.contains(suite) => {}
            Some((_, suite)) => chosen.push(*suite),
            None if TLS13.iter().any(|(known, _)| known == name) => {}
            None if WEAK.contains(&name.as_str()) => {}
            None => return Err(format!("Cipher suite {name} not supported or doesn't exist")),
        }
    }
    let has_tls12 = chosen.len() > fixed;
    Ok((chosen, has_tls12))
}

/// Names that are accepted and have no effect: worth a line in the log.
pub fn weak(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).filter(|name| WEAK.contains(name)).collect()
}

/// The protocol versions from `min` on that have a suite.
pub fn versions(min: &str, has_tls12: bool) -> &'static [&'static SupportedProtocolVersion] {
    static NEW: [&SupportedProtocolVersion; 1] = [&rustls::version::TLS13];
    static ALL: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS13, &rustls::version::TLS12];
    if min == "VersionTLS13" || !has_tls12 { &NEW } else { &ALL }
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_select_suites() {
        let select = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            super::select(&names).map(|(suites, tls12)| (suites.len(), tls12))
        };
        assert_eq!(select(&[]), Ok((9, true)));
        assert_eq!(select(&["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]), Ok((4, true)));
        let twice = ["TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"];
        assert_eq!(select(&twice), Ok((4, true)));
        assert_eq!(select(&["TLS_AES_128_GCM_SHA256"]), Ok((3, false)));
        assert_eq!(select(&["TLS_RSA_WITH_AES_128_CBC_SHA"]), Ok((3, false)));
        assert_eq!(select(&["TLS_NONE"]).unwrap_err(), "Cipher suite TLS_NONE not supported or doesn't exist");
    }
}
