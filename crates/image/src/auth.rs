//! What a registry asks for before it answers: the `WWW-Authenticate` challenge (RFC 9110,
//! section 11.6) and where a bearer token is had for it. Pure: the registry client does the asking.

use base64::Engine;

/// How a registry wants to be convinced.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    Basic,
    Bearer { realm: String, service: String, scope: String },
}

impl Challenge {
    /// The strongest challenge of all the header's values that this client can answer.
    pub(crate) fn choose<'a>(values: impl Iterator<Item = &'a str>) -> Option<Challenge> {
        let mut basic = None;
        for value in values {
            let (scheme, rest) = value.trim().split_once(' ').unwrap_or((value.trim(), ""));
            if scheme.eq_ignore_ascii_case("basic") {
                basic = Some(Challenge::Basic);
            } else if scheme.eq_ignore_ascii_case("bearer") {
                let mut challenge = (String::new(), String::new(), String::new());
                for (name, value) in parameters(rest) {
                    match name.to_ascii_lowercase().as_str() {
                        "realm" => challenge.0 = value,
                        "service" => challenge.1 = value,
                        "scope" => challenge.2 = value,
                        _ => {}
                    }
                }
                let (realm, service, scope) = challenge;
                return Some(Challenge::Bearer { realm, service, scope });
            }
        }
        basic
    }
}

/// The URL that gives a token to pull from `repository`.
pub(crate) fn token_url(realm: &str, service: &str, scope: &str, repository: &str) -> String {
    let pull = format!("repository:{repository}:pull");
    let scope = if scope.is_empty() { &pull } else { scope };
    let separator = if realm.contains('?') { '&' } else { '?' };
    let service =
        if service.is_empty() { String::new() } else { format!("service={}&", percent_encode(service)) };
    format!("{realm}{separator}{service}scope={}", percent_encode(scope))
}

pub(crate) fn basic(username: &str, password: &str) -> String {
    let text = format!("{username}:{password}");
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text))
}

/// `a="b",c=d` as pairs; what is no pair is passed over.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once('=') {
        let name = name.trim_matches([' ', ',', '\t']).to_string();
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => unquote(quoted),
            None => {
                let end = after.find(',').unwrap_or(after.len());
                (after[..end].trim().to_string(), &after[end..])
            }
        };
        found.push((name, value));
        rest = after;
    }
    found
}

/// A quoted string up to its closing quote, and what follows it.
fn unquote(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => {
                value.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return (value, &text[at + 1..]),
            c => value.push(c),
        }
    }
    (value, "")
}

/// For a query's value: everything but RFC 3986's unreserved characters.
pub(crate) fn percent_encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte as char),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read() {
        let hub = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/nginx:pull,push""#;
        let Some(Challenge::Bearer { realm, service, scope }) = Challenge::choose([hub].into_iter()) else {
            panic!("a bearer challenge")
        };
        assert_eq!(
            token_url(&realm, &service, &scope, "library/nginx"),
            "https://auth.docker.io/token?service=registry.docker.io&scope=repository%3Alibrary%2Fnginx%3Apull%2Cpush"
        );
        let values = [r#"Basic realm="Registry""#, "Bearer realm=https://r/t , service=\"a\\\"b\""];
        assert_eq!(
            Challenge::choose(values.into_iter()),
            Some(Challenge::Bearer {
                realm: "https://r/t".into(),
                service: "a\"b".into(),
                scope: String::new()
            })
        );
        assert_eq!(Challenge::choose([r#"Basic realm="x""#].into_iter()), Some(Challenge::Basic));
        assert_eq!(Challenge::choose(["Negotiate"].into_iter()), None);
        assert_eq!(
            token_url("http://r/t?a=b", "", "", "x/y"),
            "http://r/t?a=b&scope=repository%3Ax%2Fy%3Apull"
        );
    }

    #[test]
    fn broken_challenges_do_no_harm() {
        for text in ["Bearer", "Bearer realm", "Bearer realm=\"", "Bearer realm=\"a\\", "Bearer ,,=,=", ""] {
            let _ = Challenge::choose([text].into_iter());
        }
    }
}
