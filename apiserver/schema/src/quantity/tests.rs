use super::*;
use proptest::prelude::*;

#[test]
fn canonical_forms() {
    for (text, canonical) in [
        ("0", "0"),
        ("-0", "0"),
        ("0Ki", "0"),
        ("000", "0"),
        ("-", "0"),
        (".", "0"),
        ("1", "1"),
        ("+1", "1"),
        ("01", "1"),
        ("1.", "1"),
        (".5", "500m"),
        ("0.5", "500m"),
        ("1000m", "1"),
        ("1500m", "1500m"),
        ("100m", "100m"),
        ("0.1m", "100u"),
        ("1000", "1k"),
        ("1024", "1024"),
        ("1500", "1500"),
        ("10000", "10k"),
        ("1073741824", "1073741824"),
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("0.5Gi", "512Mi"),
        ("512Ki", "512Ki"),
        ("0.5Ki", "512"),
        ("0.1Ki", "102400m"),
        ("1023Ki", "1023Ki"),
        ("1e3", "1e3"),
        ("1E3", "1e3"),
        ("12e5", "1200e3"),
        ("1e-3", "1e-3"),
        ("1e0", "1"),
        ("100M", "100M"),
        ("1000M", "1G"),
        ("9E", "9E"),
        ("9000E", "9000E"),
        ("-1.5", "-1500m"),
        ("-1Ki", "-1Ki"),
        ("1n", "1n"),
        ("0.1n", "1n"),
        ("1.1n", "2n"),
        ("-0.1n", "-1n"),
        ("0.0000000001", "1n"),
        ("0.5Mi", "512Ki"),
        ("0.00000001Ki", "10240n"),
        ("8Ei", "9223372036854775807"),
        ("999999999Ei", "9223372036854775807"),
        ("123456789012345678", "123456789012345678"),
        ("1e30", "1e30"),
    ] {
        assert_eq!(Quantity::parse(text).unwrap().canonical(), canonical, "{text}");
    }
}

#[test]
fn errors() {
    let wrong = |text: &str| Quantity::parse(text).unwrap_err();
    for text in ["", "a", "1 ", " 1", "1.1.1", "1+1", "1x", "--1", "1Kib", "é", "1e", "0x10"] {
        let error = wrong(text);
        assert!(matches!(error, QuantityError::Format | QuantityError::Suffix), "{text}: {error}");
    }
    assert_eq!(wrong("1x"), QuantityError::Format);
    assert_eq!(wrong("1i"), QuantityError::Suffix);
    assert_eq!(wrong("1K"), QuantityError::Suffix);
    assert_eq!(wrong("1e99999999999999999999"), QuantityError::Suffix);
}

#[test]
fn arithmetic_and_order() {
    let q = |text: &str| Quantity::parse(text).unwrap();
    for (low, high) in [("-1", "0"), ("999m", "1"), ("1k", "1Ki"), ("1", "1e9"), ("-1k", "-1"), ("1e30", "1e31")] {
        assert!(q(low) < q(high), "{low} < {high}");
    }
    assert_eq!(q("1Gi"), q("1073741824"));
    assert_eq!(q("1000m"), q("1"));
    for (left, right, sum) in [
        ("1", "500m", "1500m"),
        ("0", "1Gi", "1Gi"),
        ("1Gi", "1Gi", "2Gi"),
        ("1Gi", "1", "1073741825"),
        ("1k", "-1k", "0"),
    ] {
        assert_eq!((q(left) + q(right)).canonical(), sum, "{left} + {right}");
    }
    assert_eq!((q("1Gi") - q("512Mi")).canonical(), "512Mi");
    assert_eq!((q("1500m").value(), q("-1500m").value(), q("1.0001").milli_value()), (2, -2, 1001));
    assert_eq!((q("1.5").as_i64(), q("15e1").as_i64(), q("1e30").value()), (None, Some(150), i64::MAX));
    assert_eq!(q("1.0001").round_up(-3).canonical(), "1001m");
    assert_eq!((q("1e1000000000") + q("1")).sign(), 1);
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,40}") {
        let _ = Quantity::parse(&text).map(|q| q.canonical());
    }

    #[test]
    fn near_quantities_do_not_panic(
        a in "[+-]?[0-9]{0,50}(\\.[0-9]{0,50})?(m|k|Ki|Ei|E|n|e-?[0-9]{1,12})?",
        b in "[+-]?[0-9]{0,50}(\\.[0-9]{0,50})?(m|k|Ki|Ei|E|n|e-?[0-9]{1,12})?",
    ) {
        if let (Ok(a), Ok(b)) = (Quantity::parse(&a), Quantity::parse(&b)) {
            let _ = ((a + b).canonical(), (a - b).canonical(), a.cmp(&b), a.value(), a.round_up(-3));
            prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
        }
    }

    #[test]
    fn the_canonical_text_parses_to_the_same_value(
        value in any::<i64>(),
        suffix in prop::sample::select(vec!["", "n", "u", "m", "k", "M", "Ki", "Mi", "e3", "e-6"]),
    ) {
        let first = Quantity::parse(&format!("{value}{suffix}")).unwrap();
        let again = Quantity::parse(&first.canonical()).unwrap();
        prop_assert_eq!(first, again);
        prop_assert_eq!(first.canonical(), again.canonical());
    }
}
