//! Leases: who leads, and until when. Their durations must make sense.

use crate::read::{at, int, opt_text, text};
use crate::{Strategy, defaults};
use apimachinery::{FieldError, Path, validation};
use serde_json::Value;

const STRATEGIES: [&str; 1] = ["OldestEmulationVersion"];

pub(super) struct Lease;

impl Strategy for Lease {
    fn default(&self, object: &mut Value) {
        defaults::apply(object);
    }

    fn validate(&self, object: &Value) -> Vec<FieldError> {
        let (spec, path) = (at(object, "spec"), Path::new("spec"));
        let mut errors = Vec::new();
        if let Some(seconds) = int(spec, "leaseDurationSeconds").filter(|seconds| *seconds <= 0) {
            errors.push(FieldError::invalid(
                &path.child("leaseDurationSeconds"),
                seconds,
                "must be greater than 0",
            ));
        }
        if let Some(count) = int(spec, "leaseTransitions").filter(|count| *count < 0) {
            errors.push(FieldError::invalid(
                &path.child("leaseTransitions"),
                count,
                "must be greater than or equal to 0",
            ));
        }
        if let Some(strategy) = opt_text(spec, "strategy") {
            // Upstream names the field twice.
            let path = path.child("strategy").child("strategy");
            if strategy.contains('/') {
                let problems = validation::qualified_name(strategy).into_iter();
                errors.extend(problems.map(|problem| FieldError::invalid(&path, strategy, problem)));
            } else if !STRATEGIES.contains(&strategy) {
                errors.push(FieldError::not_supported(&path, strategy, &STRATEGIES));
            }
        }
        if !text(spec, "preferredHolder").is_empty() && text(spec, "strategy").is_empty() {
            let detail = "may only be specified if `strategy` is defined";
            errors.push(FieldError::forbidden(&path.child("preferredHolder"), detail));
        }
        errors
    }

    fn has_status(&self) -> bool {
        false
    }

    fn allow_create_on_update(&self) -> bool {
        true
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }
}
