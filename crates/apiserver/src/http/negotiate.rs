//! Content negotiation: the form in which a client wants its answer.

use super::query::Query;
use apimachinery::Status;
use http::HeaderMap;

/// The encoding of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Json,
    Yaml,
    Protobuf,
}

/// The shape of an answer, `as=…` in the Accept header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shape {
    Plain,
    /// `meta.k8s.io` Table of this version.
    Table(String),
    Partial(String),
    PartialList(String),
    /// Aggregated discovery of this version.
    Discovery(String),
}

/// What the rows of a table carry beside their cells (`includeObject`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Include {
    None,
    Metadata,
    Object,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Form {
    pub encoding: Encoding,
    pub shape: Shape,
    pub pretty: bool,
    pub include: Include,
}

impl Form {
    pub fn json() -> Form {
        Form { encoding: Encoding::Json, shape: Shape::Plain, pretty: false, include: Include::Metadata }
    }

    pub fn content_type(&self) -> &'static str {
        match self.encoding {
            Encoding::Json => "application/json",
            Encoding::Yaml => "application/yaml",
            Encoding::Protobuf => "application/vnd.kubernetes.protobuf",
        }
    }
}

/// One element of an Accept header.
#[derive(Debug, Default)]
struct Range<'a> {
    media: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> Range<'a> {
    fn parse(text: &'a str) -> Range<'a> {
        let mut parts = text.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default();
        let parameters = parts.filter_map(|part| part.split_once('=')).collect();
        Range { media, parameters }
    }

    fn parameter(&self, name: &str) -> Option<&'a str> {
        self.parameters.iter().find(|(key, _)| *key == name).map(|(_, value)| value.trim_matches('"'))
    }

    fn encoding(&self) -> Option<Encoding> {
        match self.media {
            "application/json" | "*/*" | "application/*" | "" => Some(Encoding::Json),
            "application/yaml" => Some(Encoding::Yaml),
            "application/vnd.kubernetes.protobuf" => Some(Encoding::Protobuf),
            _ => None,
        }
    }

    fn shape(&self) -> Option<Shape> {
        let Some(name) = self.parameter("as") else { return Some(Shape::Plain) };
        let version = self.parameter("v").unwrap_or_default().to_owned();
        match (name, self.parameter("g").unwrap_or_default()) {
            ("Table", "meta.k8s.io") => Some(Shape::Table(version)),
            ("PartialObjectMetadata", "meta.k8s.io") => Some(Shape::Partial(version)),
            ("PartialObjectMetadataList", "meta.k8s.io") => Some(Shape::PartialList(version)),
            ("APIGroupDiscoveryList", "apidiscovery.k8s.io") => Some(Shape::Discovery(version)),
            _ => None,
        }
    }

    fn quality(&self) -> f32 {
        self.parameter("q").and_then(|q| q.parse().ok()).unwrap_or(1.0)
    }
}

const AVAILABLE: [&str; 5] = [
    "application/json",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
    "application/json;stream=watch",
    "application/vnd.kubernetes.protobuf;stream=watch",
];

/// The best form that `usable` accepts, by the client's order and quality.
///
/// # Errors
/// 406 with what is available.
pub(crate) fn negotiate(
    headers: &HeaderMap,
    query: &Query,
    usable: impl Fn(Encoding, &Shape) -> bool,
) -> Result<Form, Box<Status>> {
    let accept = headers.get(http::header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("*/*");
    let mut ranges: Vec<Range<'_>> = accept.split(',').map(str::trim).map(Range::parse).collect();
    ranges.sort_by(|a, b| b.quality().total_cmp(&a.quality()));
    for range in ranges {
        if let (Some(encoding), Some(shape)) = (range.encoding(), range.shape())
            && usable(encoding, &shape)
        {
            let include = match query.get("includeObject") {
                Some("None") => Include::None,
                Some("Object") => Include::Object,
                _ => Include::Metadata,
            };
            return Ok(Form { encoding, shape, pretty: pretty(headers, query), include });
        }
    }
    Err(Box::new(Status::not_acceptable(&AVAILABLE)))
}

/// People who look with a browser or curl get indented JSON.
fn pretty(headers: &HeaderMap, query: &Query) -> bool {
    query.flag("pretty").unwrap_or_else(|| {
        let agent =
            headers.get(http::header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        ["curl", "Wget", "Mozilla/5.0"].iter().any(|prefix| agent.starts_with(prefix))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(accept: &str) -> Option<Form> {
        let mut headers = HeaderMap::new();
        headers.insert("accept", accept.parse().unwrap());
        negotiate(&headers, &Query::default(), |encoding, shape| {
            encoding != Encoding::Protobuf && !matches!(shape, Shape::Discovery(_))
        })
        .ok()
    }

    #[test]
    fn accept_headers_of_clients() {
        let kubectl = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        assert_eq!(form(kubectl).unwrap().shape, Shape::Table("v1".into()));
        assert_eq!(form("application/vnd.kubernetes.protobuf,application/json").unwrap(), Form::json());
        assert_eq!(form("text/html, */*;q=0.1").unwrap(), Form::json());
        assert_eq!(form("application/yaml").unwrap().encoding, Encoding::Yaml);
        assert_eq!(form("text/html"), None);
    }
}
