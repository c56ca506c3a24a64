//! The options of writes: what may be in them, whoever sends them.

use crate::context::{Call, Result};
use crate::handlers::list::refuse_options;
use crate::limits;
use apimachinery::{FieldError, Path};
use client::Verb;

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
        let manager = &options.field_manager;
        if manager.len() > limits::MAX_FIELD_MANAGER {
            errors.push(FieldError::too_long(&Path::new("fieldManager"), limits::MAX_FIELD_MANAGER));
        }
        if manager.chars().any(char::is_control) {
            let text = "should only contain printable characters";
            errors.push(FieldError::invalid(&Path::new("fieldManager"), manager.as_str(), text));
        }
    }
    refuse_options(kind, &errors)
}
