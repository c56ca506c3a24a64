//! Names of resources that come and go: each is kept once, for as long as the program runs, so that they can be
//! handled like the built-in ones. How many there may be is limited.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// Different names over the lifetime of the program.
pub const MAX_NAMES: usize = 100_000;
/// Bytes of a name.
pub const MAX_NAME: usize = 512;

static NAMES: Mutex<Option<HashSet<&'static str>>> = Mutex::new(None);

/// The one copy of a name; `None` when it is too long or there are too many.
pub fn intern(name: &str) -> Option<&'static str> {
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    let names = names.get_or_insert_default();
    if let Some(known) = names.get(name) {
        return Some(known);
    }
    if names.len() >= MAX_NAMES || name.len() > MAX_NAME {
        return None;
    }
    let kept: &'static str = Box::leak(name.into());
    names.insert(kept);
    Some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_once() {
        let (one, two) = (intern("widgets").unwrap(), intern(&String::from("widgets")).unwrap());
        assert!(std::ptr::eq(one, two));
        assert!(intern(&"x".repeat(MAX_NAME + 1)).is_none());
    }
}
