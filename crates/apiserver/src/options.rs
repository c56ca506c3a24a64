//! The options of writes: what may be in them, whoever sends them.

use crate::context::{Call, Result};
use crate::handlers::list::refuse_options;
use apimachinery::{FieldError, Path};
use client::{Patch, Verb};

/// # Errors
/// 422 about `CreateOptions`, `UpdateOptions`, `PatchOptions` or `DeleteOptions`.
pub(crate) fn check(call: &Call) -> Result<()> {
    let kind = match call.verb() {
        Verb::Create => "CreateOptions",
        Verb::Update => "UpdateOptions",
        Verb::Patch(_) => "PatchOptions",
        Verb::Delete | Verb::DeleteCollection => "DeleteOptions",
        Verb::Get | Verb::List | Verb::Watch => return Ok(()),
    };
    let options = call.options();
    let mut errors = Vec::new();
    match (call.verb(), options.force) {
        (Verb::Patch(Patch::Apply), _) if options.field_manager.is_empty() => {
            errors.push(FieldError::required(&Path::new("fieldManager"), "is required for apply patch"));
        }
        (Verb::Patch(Patch::Json | Patch::Merge | Patch::Strategic), Some(_)) => {
            let text = "may not be specified for non-apply patch";
            errors.push(FieldError::forbidden(&Path::new("force"), text));
        }
        _ => {}
    }
    if kind != "DeleteOptions" {
        errors.extend(crate::fields::validate_manager(&options.field_manager, &Path::new("fieldManager")));
    }
    if options.dry_run.iter().any(|value| value != "All") {
        let value = options.dry_run.clone();
        errors.push(FieldError::not_supported(&Path::new("dryRun"), value, &["All"]));
    }
    if kind != "DeleteOptions" {
        let supported = ["", "Ignore", "Strict", "Warn"];
        if !supported.contains(&options.field_validation.as_str()) {
            let value = options.field_validation.as_str();
            errors.push(FieldError::not_supported(&Path::new("fieldValidation"), value, &supported));
        }
    }
    refuse_options(kind, &errors)
}
