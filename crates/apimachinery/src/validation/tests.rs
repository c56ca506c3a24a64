//! Name rules and their messages.

use super::*;

fn check(rule: fn(&str) -> Problems, good: &[&str], bad: &[(&str, &str)]) {
    for text in good {
        assert_eq!(rule(text), Vec::<String>::new(), "{text}");
    }
    for (text, want) in bad {
        let got = rule(text).join("; ");
        assert!(got.starts_with(want), "{text}: {got}");
    }
}

#[test]
fn names() {
    let long = "a".repeat(64);
    let label = "a lowercase RFC 1123 label must";
    check(
        dns1123_label,
        &["a", "a-1", "1"],
        &[
            ("", label),
            ("-a", label),
            ("A", label),
            ("a.b", "must not contain dots"),
            (&long, "must be no more than 63 characters"),
        ],
    );
    check(
        dns1123_subdomain,
        &["a.b", "a"],
        &[("a..b", "a lowercase RFC 1123 subdomain"), ("a.", "a lowercase")],
    );
    check(dns1035_label, &["a-1"], &[("1a", "a DNS-1035 label must"), ("", "a DNS-1035")]);
    check(wildcard_dns1123_subdomain, &["*.a.b"], &[("a.b", "a wildcard"), ("*a", "a wildcard")]);
    check(
        path_segment_name,
        &["system:node"],
        &[("..", "may not be '..'"), ("a/b%", "may not contain '/'; may not contain '%'")],
    );
    assert_eq!(
        dns1123_subdomain("A_b"),
        vec!["a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')".to_owned()]
    );
}

#[test]
fn keys_and_values() {
    check(
        qualified_name,
        &["a", "A.b_c", "example.com/a"],
        &[
            ("", "name part must be non-empty; name part must consist"),
            ("/a", "prefix part must be non-empty"),
            ("a/b/c", "a valid label key must consist"),
            ("A/b", "prefix part a lowercase"),
        ],
    );
    check(label_value, &["", "a_b.C"], &[("-a", "a valid label must be an empty string")]);
    check(
        config_map_key,
        &["a.b", ".a"],
        &[("..a", "must not start with '..'"), ("a/b", "a valid config key"), (".", "must not be '.'")],
    );
    check(
        env_var_name,
        &["A b", "1"],
        &[
            ("", "environment variable name must be non-empty"),
            ("a=b", "a valid environment variable name must consist only"),
        ],
    );
    check(c_identifier, &["_a1"], &[("1a", "a valid C identifier")]);
    check(
        port_name,
        &["http", "a-1"],
        &[
            ("1", "must contain at least one letter"),
            ("a--b", "must not contain consecutive"),
            ("a-", "must not begin or end"),
        ],
    );
    check(percent, &["10%"], &[("%", "a valid percent"), ("10", "a valid percent")]);
}

#[test]
fn addresses() {
    check(
        ip,
        &["10.0.0.1", "2001:db8::1"],
        &[
            ("010.0.0.1", "must not have leading 0s"),
            ("x", "must be a valid IP"),
            ("::ffff:1.2.3.4", "must not be an IPv4-mapped"),
            ("2001:DB8::1", "must be in canonical form (\"2001:db8::1\")"),
        ],
    );
    check(
        cidr,
        &["10.0.0.0/8", "::/0"],
        &[
            ("10.0.0.1/8", "must not have bits set"),
            ("10.0.0.0/33", "must be a valid CIDR"),
            ("10.0.0.0/08", "must not have leading 0s"),
            ("1", "must be a valid CIDR"),
        ],
    );
    assert_eq!(port_number(0), vec!["must be between 1 and 65535, inclusive".to_owned()]);
}

#[test]
fn maps() {
    let path = Path::new("metadata").child("annotations");
    let map = |k: &str, v: &str| Map::from_iter([(k.to_owned(), Value::from(v))]);
    assert!(annotations(&map("Example.COM/a", "anything goes"), &path).is_empty());
    let big = annotations(&map("a", &"x".repeat(MAX_ANNOTATIONS)), &path);
    assert_eq!(big[0].to_string(), "metadata.annotations: Too long: may not be more than 262144 bytes");
    assert_eq!(labels(&map("a", "-"), &Path::new("l"))[0].field, "l");
}
