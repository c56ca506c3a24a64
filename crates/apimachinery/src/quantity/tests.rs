//! Quantities: grammar, canonical form, rounding.

use super::*;
use proptest::prelude::*;

#[test]
fn normal_forms_match_upstream() {
    for (text, want) in [
        ("0", "0"),
        ("0m", "0"),
        ("100m", "100m"),
        ("1000m", "1"),
        ("1500m", "1500m"),
        ("0.5", "500m"),
        ("1.5", "1500m"),
        (".5", "500m"),
        ("5.", "5."),
        ("1Ki", "1Ki"),
        ("1024", "1024"),
        ("1000", "1k"),
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("8Gi", "8Gi"),
        ("512Ki", "512Ki"),
        ("0.5Ki", "512"),
        ("0.0001Ki", "102400u"),
        ("12e6", "12e6"),
        ("12E6", "12E6"),
        ("100e5", "10e6"),
        ("1e-3", "1e-3"),
        ("1E", "1E"),
        ("1e3", "1e3"),
        ("0.1n", "1n"),
        ("1n", "1n"),
        ("-1500m", "-1500m"),
        ("-0.5", "-500m"),
        ("1000k", "1M"),
        ("128974848", "128974848"),
        ("9223372036854775807", "9223372036854775807"),
        ("10Ei", "9223372036854775807"),
    ] {
        assert_eq!(Quantity::normalize(text).as_deref(), Ok(want), "{text}");
    }
}

#[test]
fn bad_texts_are_refused_in_upstreams_words() {
    for (text, want) in [
        ("", ParseError::Format),
        ("1.1.1", ParseError::Format),
        ("abc", ParseError::Format),
        ("1 Gi", ParseError::Format),
        ("1i", ParseError::Suffix),
        ("1mi", ParseError::Suffix),
        ("1e", ParseError::Suffix),
        ("1GiB", ParseError::Format),
    ] {
        assert_eq!(Quantity::parse(text), Err(want), "{text}");
    }
}

#[test]
fn values_round_away_from_zero() {
    for (text, value, milli) in [
        ("1", 1, 1000),
        ("1500m", 2, 1500),
        ("1u", 1, 1),
        ("2Ki", 2048, 2_048_000),
        ("-1500m", -2, -1500),
        ("9E", 9_000_000_000_000_000_000, i64::MAX),
    ] {
        let q = Quantity::parse(text).unwrap();
        assert_eq!((q.value(), q.milli_value()), (value, milli), "{text}");
    }
}

#[test]
fn sums_keep_a_format() {
    let q = |text| Quantity::parse(text).unwrap();
    assert_eq!(Quantity::ZERO.add(q("1Gi")).to_string(), "1Gi");
    assert_eq!(q("1Gi").add(q("1Gi")).to_string(), "2Gi");
    assert_eq!(q("500m").add(q("0.5")).to_string(), "1");
    assert_eq!(q("1").sub(q("250m")).to_string(), "750m");
    assert!(q("1Ki") > q("1k") && q("1000m") == q("1"));
}

proptest! {
    #[test]
    fn printing_and_parsing_agree(nanos in -(1i128 << 90)..(1i128 << 90), format in prop_oneof![Just(Format::DecimalExponent), Just(Format::DecimalSi)]) {
        let q = Quantity { nanos, format };
        prop_assert_eq!(Quantity::parse(&q.to_string()), Ok(q));
    }

    #[test]
    fn the_short_cut_agrees_with_the_long_way(text in "[1-9][0-9]{0,5}(|m|k|M|G|T|Ki|Mi|Gi)") {
        if is_plainly_canonical(&text) {
            prop_assert_eq!(Quantity::parse(&text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn parsing_never_panics(text in "[-+0-9.eEinumkKMGTP]{0,30}") {
        if let Ok(text) = Quantity::normalize(&text) {
            prop_assert_eq!(Quantity::normalize(&text), Ok(text));
        }
    }
}
