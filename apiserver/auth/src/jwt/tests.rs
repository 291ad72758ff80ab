use super::*;
use serde_json::{Value, json};

/// Keys of each kind, made with `openssl genpkey` and `openssl ecparam`, for tests alone.
const RSA: &str = include_str!("testdata/rsa.pem");
const RSA_PKCS1: &str = include_str!("testdata/rsa-pkcs1.pem");
const RSA_PUBLIC: &str = include_str!("testdata/rsa.pub");
const P256: &str = include_str!("testdata/p256.pem");
const P256_SEC1: &str = include_str!("testdata/p256-sec1.pem");
const P256_PUBLIC: &str = include_str!("testdata/p256.pub");
const P384: &str = include_str!("testdata/p384.pem");
const P384_PUBLIC: &str = include_str!("testdata/p384.pub");
const P521: &str = include_str!("testdata/p521.pem");
const P521_PUBLIC: &str = include_str!("testdata/p521.pub");

fn key(pem: &str) -> SigningKey {
    SigningKey::from_pem(pem.as_bytes()).unwrap()
}

fn public(pem: &str) -> PublicKey {
    keys_in_pem(pem.as_bytes()).unwrap().remove(0)
}

/// A token with any header and signature.
fn token(header: &Value, claims: &Value, signature: &[u8]) -> String {
    let text = |v: &Value| base64url(v.to_string().as_bytes());
    format!("{}.{}.{}", text(header), text(claims), base64url(signature))
}

#[test]
fn what_is_signed_verifies_with_every_form_of_the_key() {
    for (private, other_form, public_pem, algorithm) in [
        (RSA, RSA_PKCS1, RSA_PUBLIC, "RS256"),
        (P256, P256_SEC1, P256_PUBLIC, "ES256"),
        (P384, P384, P384_PUBLIC, "ES384"),
        (P521, P521, P521_PUBLIC, "ES512"),
    ] {
        let signing = key(private);
        assert_eq!(signing.public().algorithm(), algorithm);
        assert_eq!(signing.public().id(), key(other_form).public().id(), "{algorithm}");
        let text = signing.sign(&json!({"sub": "x"})).unwrap();
        let jwt = Jwt::parse(&text).unwrap();
        assert_eq!(jwt.algorithm(), algorithm);
        assert_eq!(jwt.key_id(), Some(signing.public().id()));
        let from_jwk = PublicKey::from_jwk(&signing.public().jwk()).unwrap().unwrap();
        assert_eq!(from_jwk.id(), signing.public().id());
        for verifier in [&public(public_pem), &public(private), &from_jwk] {
            assert_eq!(verifier.id(), signing.public().id(), "{algorithm}");
            assert_eq!(jwt.verify(verifier), Ok(&br#"{"sub":"x"}"#[..]), "{algorithm}");
        }
        // Whatever else signed it, or whatever was changed, it does not verify.
        let (signed, signature) = text.rsplit_once('.').unwrap();
        let (header, _) = signed.split_once('.').unwrap();
        let forged = format!("{header}.{}.{signature}", base64url(br#"{"sub":"root"}"#));
        let forged = Jwt::parse(&forged).unwrap();
        assert_eq!(forged.verify(signing.public()), Err(VerifyError::Signature), "{algorithm}");
    }
}

#[test]
fn the_key_id_is_kube_apiservers() {
    // base64url(sha256(DER)), as `openssl pkey -pubin -outform DER | sha256sum` gives it.
    let der = <rustls_pki_types::SubjectPublicKeyInfoDer<'_> as rustls_pki_types::pem::PemObject>::from_pem_slice(
        RSA_PUBLIC.as_bytes(),
    )
    .unwrap();
    let digest = ring::digest::digest(&ring::digest::SHA256, &der);
    assert_eq!(public(RSA_PUBLIC).id(), base64url(digest.as_ref()));
}

#[test]
fn an_algorithm_is_accepted_because_the_key_has_it() {
    let claims = json!({"sub": "system:admin"});
    let (rsa, p256) = (public(RSA_PUBLIC), public(P256_PUBLIC));
    // The public key as the secret of an HMAC, which everybody can make.
    let secret = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, RSA_PUBLIC.as_bytes());
    let header = json!({"alg": "HS256", "kid": rsa.id()});
    let unsigned = token(&header, &claims, b"");
    let signed = unsigned.trim_end_matches('.');
    let tag = ring::hmac::sign(&secret, signed.as_bytes());
    let confused = token(&header, &claims, tag.as_ref());
    assert_eq!(Jwt::parse(&confused).unwrap().verify(&rsa), Err(VerifyError::Algorithm));
    for algorithm in ["none", "None", "", "HS256", "HS512", "ES256", "EdDSA"] {
        let text = token(&json!({"alg": algorithm}), &claims, b"");
        assert_eq!(Jwt::parse(&text).unwrap().verify(&rsa), Err(VerifyError::Algorithm), "{algorithm}");
    }
    for algorithm in ["none", "RS256", "ES384", "HS256"] {
        let text = token(&json!({"alg": algorithm}), &claims, &[0; 64]);
        assert_eq!(Jwt::parse(&text).unwrap().verify(&p256), Err(VerifyError::Algorithm), "{algorithm}");
    }
    // Signatures of zeros, of the right and of wrong lengths.
    for length in [0, 1, 63, 64, 65, 1000] {
        let text = token(&json!({"alg": "ES256"}), &claims, &vec![0; length]);
        assert_eq!(Jwt::parse(&text).unwrap().verify(&p256), Err(VerifyError::Signature), "{length}");
    }
}

#[test]
fn what_is_no_token_is_not_parsed() {
    let good = token(&json!({"alg": "ES256"}), &json!({}), b"x");
    assert!(Jwt::parse(&good).is_some());
    let critical = token(&json!({"alg": "ES256", "crit": ["exp"]}), &json!({}), b"x");
    let large = token(&json!({"alg": "ES256"}), &json!({"x": "y".repeat(TOKEN_BYTES_MAX)}), b"x");
    for bad in ["", ".", "..", "a.b.c", "a.b", &format!("{good}.x"), &good.replace('.', "=."), &critical, &large] {
        assert!(Jwt::parse(bad).is_none(), "{}", &bad[..bad.len().min(80)]);
    }
}

#[test]
fn times_have_a_minute_of_leeway() {
    let now = 1_000_000;
    for (expires, not_before, issued, wanted) in [
        (None, None, None, Ok(())),
        (Some(now - 59), Some(now + 59), Some(now + 59), Ok(())),
        (Some(now - 61), None, None, Err(TimeError::Expired)),
        (None, Some(now + 61), None, Err(TimeError::NotValidYet)),
        (None, None, Some(now + 61), Err(TimeError::IssuedInTheFuture)),
        (Some(i64::MAX), Some(i64::MIN), Some(i64::MIN), Ok(())),
        (Some(i64::MIN), None, None, Err(TimeError::Expired)),
    ] {
        assert_eq!(check_times(now, expires, not_before, issued), wanted);
    }
}

#[test]
fn files_without_keys_say_so() {
    assert!(matches!(keys_in_pem(b"hello"), Err(KeyError::None)));
    assert!(SigningKey::from_pem(RSA_PUBLIC.as_bytes()).is_err());
    let truncated = P256.replace("MIG", "MIH");
    assert!(SigningKey::from_pem(truncated.as_bytes()).is_err());
    assert!(PublicKey::from_jwk(&json!({"kty": "RSA", "n": "AQAB", "e": "AQAB"})).is_err(), "a tiny modulus");
    assert!(PublicKey::from_jwk(&json!({"kty": "oct", "k": "c2VjcmV0"})).unwrap().is_none());
    assert!(PublicKey::from_jwk(&json!({"kty": "RSA", "use": "enc"})).unwrap().is_none());
}
