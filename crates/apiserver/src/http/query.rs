//! Query parameters, and the request options in them.

use apimachinery::Status;
use client::Options;

/// The decoded parameters in their order; names may repeat.
#[derive(Debug, Default, Clone)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub fn parse(text: &str) -> Query {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        Query(
            pairs
                .map(|pair| {
                    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (percent_decode(&name.replace('+', " ")), percent_decode(&value.replace('+', " ")))
                })
                .collect(),
        )
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// As Go's conversion of query parameters reads a boolean: `false` and `0` are false, the rest true.
    pub fn flag(&self, name: &str) -> Option<bool> {
        self.get(name).map(|value| !matches!(value.to_ascii_lowercase().as_str(), "false" | "0"))
    }

    fn text(&self, name: &str) -> String {
        self.get(name).unwrap_or_default().to_owned()
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, Box<Status>> {
        match self.get(name) {
            None | Some("") => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|_| {
                let quoted = apimachinery::go::quote(text);
                Box::new(Status::bad_request(format!("strconv.ParseInt: parsing {quoted}: invalid syntax")))
            }),
        }
    }

    /// The options of any verb.
    pub fn options(&self) -> Result<Options, Box<Status>> {
        Ok(Options {
            label_selector: self.text("labelSelector"),
            field_selector: self.text("fieldSelector"),
            limit: self.number::<i64>("limit")?.and_then(|n| u64::try_from(n).ok()).unwrap_or(0),
            continue_token: self.text("continue"),
            resource_version: self.text("resourceVersion"),
            resource_version_match: self.text("resourceVersionMatch"),
            allow_watch_bookmarks: self.flag("allowWatchBookmarks").unwrap_or(false),
            send_initial_events: self.flag("sendInitialEvents"),
            timeout_seconds: self.number::<i64>("timeoutSeconds")?.and_then(|n| u64::try_from(n).ok()),
            dry_run: self.all("dryRun").filter(|v| !v.is_empty()).map(str::to_owned).collect(),
            field_manager: self.text("fieldManager"),
            field_validation: self.text("fieldValidation"),
            force: self.flag("force"),
            grace_period_seconds: self.number("gracePeriodSeconds")?,
            propagation_policy: self.get("propagationPolicy").map(str::to_owned),
            orphan_dependents: self.flag("orphanDependents"),
            precondition_uid: None,
            precondition_resource_version: None,
        })
    }
}

/// Decodes `%XX`; what is no escape stays.
pub(crate) fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        match (bytes[at], escape.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Encodes everything but unreserved characters.
pub(crate) fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte as char);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_decode() {
        let query = Query::parse("labelSelector=a%3Db%2Cc&command=ls&command=-l+x&watch=0&limit=5");
        assert_eq!(query.get("labelSelector"), Some("a=b,c"));
        assert_eq!(query.all("command").collect::<Vec<_>>(), ["ls", "-l x"]);
        assert_eq!(query.flag("watch"), Some(false));
        assert_eq!(query.options().unwrap().limit, 5);
        assert!(Query::parse("limit=x").options().is_err());
        assert_eq!(percent_decode(&percent_encode("a/b c%")), "a/b c%");
    }
}
