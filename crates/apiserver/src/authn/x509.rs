//! Users from client certificates: the common name is the user, the organizations are the groups.

use client::UserInfo;
use x509_parser::prelude::{FromDer, X509Certificate};

/// The user a verified certificate (DER) names; `None` without a common name.
pub(crate) fn user(der: &[u8]) -> Option<UserInfo> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let subject = certificate.subject();
    let name = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
    if name.is_empty() {
        return None;
    }
    let groups = subject.iter_organization().filter_map(|o| o.as_str().ok()).map(str::to_owned).collect();
    Some(UserInfo { name, groups, ..UserInfo::default() })
}
