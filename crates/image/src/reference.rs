//! Names of images: `nginx`, `nginx:1.21`, `alpine/git`, `registry:5000/path/app@sha256:…`, with
//! Docker Hub as the default registry and `latest` as the default tag (distribution/reference).

use std::fmt;

pub(crate) const DEFAULT_REGISTRY: &str = "docker.io";
const DEFAULT_TAG: &str = "latest";
/// Longest repository name, registry included.
const NAME_MAX: usize = 255;
/// Longest tag.
const TAG_MAX: usize = 128;

/// A full name; `Display` writes it whole.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    /// Host and port: `docker.io`, `localhost:5000`.
    pub registry: String,
    /// `library/nginx`.
    pub repository: String,
    /// Empty where there is only a digest.
    pub tag: String,
    /// `sha256:…`, empty if none.
    pub digest: String,
}

impl Reference {
    /// # Errors
    /// What is wrong with the name, in upstream's words.
    pub fn parse(text: &str) -> Result<Reference, String> {
        let fail = |why: &str| Err(format!("couldn't parse image name {text:?}: {why}"));
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, digest),
            None => (text, ""),
        };
        if !digest.is_empty() && !is_digest(digest) || text.ends_with('@') {
            return fail("invalid reference format");
        }
        // A colon after the last slash starts a tag; one before it a port.
        let (name, tag) = match name.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, tag),
            _ => (name, ""),
        };
        let (registry, repository) = match name.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" || has_upper(first) => {
                (first, rest.to_string())
            }
            _ => (DEFAULT_REGISTRY, name.to_string()),
        };
        let registry = if registry == "index.docker.io" { DEFAULT_REGISTRY } else { registry };
        let repository = match registry {
            DEFAULT_REGISTRY if !repository.contains('/') => format!("library/{repository}"),
            _ => repository,
        };
        if has_upper(&repository) {
            return fail(&format!(
                "invalid reference format: repository name ({repository}) must be lowercase"
            ));
        }
        if registry.len() + repository.len() >= NAME_MAX {
            return fail("repository name must not be more than 255 characters");
        }
        let tag_missing = name.len() < text.split('@').next().unwrap_or_default().len() && tag.is_empty();
        if !repository.split('/').all(is_path_component) || (!tag.is_empty() && !is_tag(tag)) || tag_missing {
            return fail("invalid reference format");
        }
        let tag = if tag.is_empty() && digest.is_empty() { DEFAULT_TAG } else { tag };
        Ok(Reference { registry: registry.into(), repository, tag: tag.into(), digest: digest.into() })
    }

    /// `docker.io/library/nginx`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if !self.tag.is_empty() {
            write!(f, ":{}", self.tag)?;
        }
        if !self.digest.is_empty() {
            write!(f, "@{}", self.digest)?;
        }
        Ok(())
    }
}

fn has_upper(text: &str) -> bool {
    text.bytes().any(|b| b.is_ascii_uppercase())
}

fn is_digest(text: &str) -> bool {
    matches!(text.split_once(':'), Some((algorithm, hex))
        if !algorithm.is_empty() && hex.len() >= 32 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn is_tag(text: &str) -> bool {
    text.len() <= TAG_MAX
        && !text.starts_with(['.', '-'])
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

/// Lower-case letters and digits, with `.`, `_`, `__` or dashes between them.
fn is_path_component(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let (Some(first), Some(last)) = (text.bytes().next(), text.bytes().last()) else { return false };
    let separators = |b: u8| matches!(b, b'.' | b'_' | b'-');
    inner(first)
        && inner(last)
        && text.bytes().all(|b| inner(b) || separators(b))
        && !text.contains("..")
        && !text.contains("___")
        && !text.contains("._")
        && !text.contains("_.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_completed() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let cases = [
            ("nginx", "docker.io/library/nginx:latest".to_string()),
            ("nginx:1.21", "docker.io/library/nginx:1.21".into()),
            ("alpine/git:latest", "docker.io/alpine/git:latest".into()),
            ("localhost:5000/app", "localhost:5000/app:latest".into()),
            ("minke.local/toolbox", "minke.local/toolbox:latest".into()),
            (&format!("nginx@{digest}"), format!("docker.io/library/nginx@{digest}")),
            (&format!("r.io/a/b:1@{digest}"), format!("r.io/a/b:1@{digest}")),
        ];
        for (input, want) in cases {
            let reference = Reference::parse(input).expect("a good name");
            assert_eq!(reference.to_string(), want);
            assert_eq!(Reference::parse(&want), Ok(reference), "a whole name stands for itself");
        }
    }

    #[test]
    fn bad_names_are_refused() {
        assert_eq!(
            Reference::parse("Nginx:1").unwrap_err(),
            "couldn't parse image name \"Nginx:1\": invalid reference format: repository name (library/Nginx) must be lowercase"
        );
        for bad in ["", ":", "a:", "a b", "a//b", "a@", "a@sha256:x", "-a", "a:-b", "a..b"] {
            assert!(Reference::parse(bad).is_err(), "{bad:?}");
        }
    }
}
