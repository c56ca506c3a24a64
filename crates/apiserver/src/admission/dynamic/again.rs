//! Whether what mutated before mutates again, because something changed after it. Everything that may
//! be asked again is asked at most once more.

use serde_json::Value;
use std::collections::BTreeSet;

/// Of one plugin.
#[derive(Default)]
pub(super) struct Memory {
    /// What went out of the plugin last; kept only if somebody may be asked again.
    last: Option<Value>,
    asked: BTreeSet<String>,
    pending: BTreeSet<String>,
}

impl Memory {
    /// What is asked again if the object has changed since.
    pub fn begin(&mut self, second: bool, object: Option<&Value>) {
        if second && self.last.as_ref() != object {
            self.require();
        }
    }

    pub fn end(&mut self, object: Option<&Value>) {
        let may_be_asked = !(self.asked.is_empty() && self.pending.is_empty());
        self.last = object.filter(|_| may_be_asked).cloned();
    }

    /// Whether one that may be asked again has a reason to be.
    pub fn is_pending(&self, who: &str) -> bool {
        self.pending.contains(who)
    }

    /// Something changed: all that were asked before are asked again.
    pub fn require(&mut self) {
        self.pending.append(&mut self.asked);
    }

    pub fn remember(&mut self, who: &str) {
        self.asked.insert(who.to_owned());
    }
}

/// Of one request.
#[derive(Default)]
pub(crate) struct Again {
    pub(super) policies: Memory,
    pub(super) hooks: Memory,
    pub(super) second: bool,
    pub(super) wanted: bool,
}

impl Again {
    /// Begins the second round, if there is to be one.
    pub fn next(&mut self) -> bool {
        let next = self.wanted && !self.second;
        self.second = self.second || next;
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_was_before_a_change_is_asked_again() {
        let mut memory = Memory::default();
        memory.begin(false, Some(&json!(1)));
        memory.remember("first");
        // The second one changes something.
        memory.require();
        memory.remember("second");
        memory.end(Some(&json!(2)));
        memory.begin(true, Some(&json!(2)));
        assert!(memory.is_pending("first") && !memory.is_pending("second"));
        // Somebody else has changed it in between.
        let mut memory = Memory::default();
        memory.remember("only");
        memory.end(Some(&json!(2)));
        memory.begin(true, Some(&json!(3)));
        assert!(memory.is_pending("only"));
    }
}
