//! Names of kinds and resources: group, version, kind, resource.
//! `Display` matches what upstream prints in messages (`deployments.apps`, `apps/v1, Kind=Deployment`).

use std::fmt;

macro_rules! names {
    ($(#[$doc:meta])* $name:ident { $($field:ident),+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
        pub struct $name {
            $(pub $field: String),+
        }
        impl $name {
            pub fn new($($field: impl Into<String>),+) -> Self {
                Self { $($field: $field.into()),+ }
            }
        }
    };
}

names!(/// A kind in one version, such as `apps/v1, Kind=Deployment`.
    GroupVersionKind { group, version, kind });
names!(/// A resource in one version, such as `apps/v1, Resource=deployments`.
    GroupVersionResource { group, version, resource });
names!(/// A resource in any version; printed `deployments.apps`.
    GroupResource { group, resource });
names!(/// A kind in any version; printed `Deployment.apps`.
    GroupKind { group, kind });
names!(/// An API version; printed as `apiVersion` is written.
    GroupVersion { group, version });

impl GroupVersion {
    /// Splits an `apiVersion`. At most one slash is allowed.
    ///
    /// # Errors
    /// Upstream's message for more than one slash.
    pub fn parse(api_version: &str) -> Result<Self, String> {
        parse_api_version(api_version)
            .map(|(group, version)| Self::new(group, version))
            .ok_or_else(|| format!("unexpected GroupVersion string: {api_version}"))
    }

    pub fn with_kind(&self, kind: &str) -> GroupVersionKind {
        GroupVersionKind::new(&self.group, &self.version, kind)
    }
}

impl GroupVersionKind {
    pub fn api_version(&self) -> String {
        join_api_version(&self.group, &self.version)
    }
    pub fn group_kind(&self) -> GroupKind {
        GroupKind::new(&self.group, &self.kind)
    }
    pub fn group_version(&self) -> GroupVersion {
        GroupVersion::new(&self.group, &self.version)
    }
}

impl GroupVersionResource {
    pub fn api_version(&self) -> String {
        join_api_version(&self.group, &self.version)
    }
    pub fn group_resource(&self) -> GroupResource {
        GroupResource::new(&self.group, &self.resource)
    }
    pub fn group_version(&self) -> GroupVersion {
        GroupVersion::new(&self.group, &self.version)
    }
}

/// `("apps", "v1")` of `apps/v1`; `("", "v1")` of `v1`; `None` for more than one slash.
pub fn parse_api_version(api_version: &str) -> Option<(&str, &str)> {
    match api_version.split_once('/') {
        None => Some(("", api_version)),
        Some((_, version)) if version.contains('/') => None,
        Some(pair) => Some(pair),
    }
}

/// The inverse of [`parse_api_version`].
pub fn join_api_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

fn dotted(f: &mut fmt::Formatter<'_>, name: &str, group: &str) -> fmt::Result {
    if group.is_empty() { f.write_str(name) } else { write!(f, "{name}.{group}") }
}

impl fmt::Display for GroupResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        dotted(f, &self.resource, &self.group)
    }
}
impl fmt::Display for GroupKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        dotted(f, &self.kind, &self.group)
    }
}
impl fmt::Display for GroupVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&join_api_version(&self.group, &self.version))
    }
}
impl fmt::Display for GroupVersionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}, Kind={}", self.group, self.version, self.kind)
    }
}
impl fmt::Display for GroupVersionResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}, Resource={}", self.group, self.version, self.resource)
    }
}

/// Orders versions by maturity, then by number: `v2` is greater than `v1`, `v1` than `v2beta1`, that than
/// `v1alpha1`; whatever is no version of this kind is less, earlier in the alphabet greater.
pub fn compare_versions(a: &str, b: &str) -> std::cmp::Ordering {
    match (kube_version(a), kube_version(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        (None, None) => b.cmp(a),
        (a, b) => a.is_some().cmp(&b.is_some()),
    }
}

/// Maturity (2 stable, 1 beta, 0 alpha), major number, minor number.
fn kube_version(text: &str) -> Option<(u8, u64, u64)> {
    let rest = text.strip_prefix('v')?;
    let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number = |text: &str| text.parse().ok().filter(|_| !text.starts_with('0'));
    let (major, rest) = rest.split_at(digits(rest));
    let major = number(major)?;
    if rest.is_empty() {
        return Some((2, major, 0));
    }
    let (maturity, minor) = match (rest.strip_prefix("beta"), rest.strip_prefix("alpha")) {
        (Some(minor), _) => (1, minor),
        (None, Some(minor)) => (0, minor),
        (None, None) => return None,
    };
    if digits(minor) != minor.len() {
        return None;
    }
    Some((maturity, major, if minor.is_empty() { 0 } else { number(minor)? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_matches_upstream() {
        assert_eq!(GroupResource::new("apps", "deployments").to_string(), "deployments.apps");
        assert_eq!(GroupResource::new("", "pods").to_string(), "pods");
        assert_eq!(GroupKind::new("meta.k8s.io", "ListOptions").to_string(), "ListOptions.meta.k8s.io");
        assert_eq!(GroupVersionKind::new("apps", "v1", "Foo").to_string(), "apps/v1, Kind=Foo");
        assert_eq!(GroupVersionKind::new("", "v1", "Pod").to_string(), "/v1, Kind=Pod");
    }

    #[test]
    fn api_versions_split_and_join() {
        for (text, want) in [
            ("v1", Some(("", "v1"))),
            ("apps/v1", Some(("apps", "v1"))),
            ("a/b/c", None),
            ("", Some(("", ""))),
        ] {
            assert_eq!(parse_api_version(text), want);
        }
        assert_eq!(GroupVersionKind::new("apps", "v1", "x").api_version(), "apps/v1");
    }
}
