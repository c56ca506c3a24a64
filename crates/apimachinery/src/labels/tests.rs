//! Label selectors: grammar, errors, matching.

use super::*;
use serde_json::json;

#[test]
fn selectors_parse_match_and_print() {
    let labels = json!({"a": "1", "b": "2", "n": "5"});
    let labels = labels.as_object();
    for (text, printed, matches) in [
        ("", "", true),
        ("a=1", "a=1", true),
        ("a==1", "a==1", true),
        ("a!=1", "a!=1", false),
        ("z!=1", "z!=1", true),
        ("b in (2,1)", "b in (1,2)", true),
        ("b notin (1,3)", "b notin (1,3)", true),
        ("z notin (1)", "z notin (1)", true),
        ("a,b", "a,b", true),
        ("!a", "!a", false),
        ("!z , b = 2", "b=2,!z", true),
        ("n>4", "n>4", true),
        ("n<4", "n<4", false),
        ("a>x1", "", false),
        ("a=", "a=", false),
        ("a in (,)", "a in ()", false),
        ("in in (in)", "in in (in)", false),
    ] {
        match Selector::parse(text) {
            Ok(selector) => {
                assert_eq!(selector.to_string(), printed, "{text}");
                assert_eq!(selector.matches(labels), matches, "{text}");
            }
            Err(error) => assert!(error.contains("the value must be an integer"), "{text}: {error}"),
        }
    }
}

#[test]
fn parse_errors_are_upstreams() {
    for (text, want) in [
        ("!!a", "unable to parse requirement: found '!', expected: identifier"),
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("a=b c", "found 'c', expected: ',' or 'end of string'"),
        ("a,", "found '', expected: identifier after ','"),
        ("=a", "found '=', expected: !, identifier, or 'end of string'"),
        ("a in b", "unable to parse requirement: found 'b' expected: '('"),
        ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
    ] {
        assert_eq!(Selector::parse(text).unwrap_err(), want, "{text}");
    }
    let error = Selector::parse("-a=b").unwrap_err();
    assert!(
        error.starts_with(
            "unable to parse requirement: <nil>: Invalid value: \"-a\": name part must consist of"
        ),
        "{error}"
    );
}

#[test]
fn label_selector_objects() {
    let on = |selector: Value, labels: Value| {
        Selector::from_label_selector(Some(&selector)).unwrap().matches(labels.as_object())
    };
    assert!(!Selector::from_label_selector(None).unwrap().matches(None));
    assert!(on(json!({}), json!({"x": "y"})));
    assert!(on(
        json!({"matchLabels": {"a": "1"}, "matchExpressions": [{"key": "b", "operator": "NotIn", "values": ["2"]}]}),
        json!({"a": "1"})
    ));
    assert!(!on(json!({"matchExpressions": [{"key": "b", "operator": "Exists"}]}), json!({"a": "1"})));
    let bad =
        Selector::from_label_selector(Some(&json!({"matchExpressions": [{"key": "a", "operator": "Gt"}]})));
    assert_eq!(bad.unwrap_err(), "\"Gt\" is not a valid label selector operator");
    assert_eq!(Selector::parse("a=1,b").unwrap().exact("a"), Some("1"));
}

proptest::proptest! {
    #[test]
    fn printed_selectors_parse_to_themselves(text in "[a-c!=,() ]{0,14}") {
        if let Ok(selector) = Selector::parse(&text) {
            // `Exists` of an empty value set prints without values, everything else round-trips.
            proptest::prop_assert_eq!(Selector::parse(&selector.to_string()).map(|s| s.to_string()), Ok(selector.to_string()));
        }
    }
}
