//! One file per kind with rules of its own, and the list that finds it.

use crate::{Generic, Strategy};

/// The strategy of a resource; [`Generic`] where the kind has no rules of its own.
pub fn strategy(_group: &str, _resource: &str) -> &'static dyn Strategy {
    &Generic
}
