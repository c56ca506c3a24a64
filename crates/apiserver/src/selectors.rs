//! Label and field selectors of lists, watches and collection deletes.

use crate::context::{Call, Result};
use crate::resources::Target;
use apimachinery::{Status, fields, labels, meta};
use serde_json::Value;
use std::borrow::Cow;
use store::Entry;

pub(crate) struct Selectors {
    labels: labels::Selector,
    fields: fields::Selector,
    /// The request's own name, when a name was given in the path.
    trivial: bool,
    needs_tree: bool,
}

impl Selectors {
    /// # Errors
    /// 400 for what cannot be parsed and for fields the kind does not select by.
    pub fn of(call: &Call, target: &Target) -> Result<Selectors> {
        let options = call.options();
        let bad = |text: String| Box::new(Status::bad_request(text));
        let labels = labels::Selector::parse(&options.label_selector).map_err(|text| {
            bad(format!(
                "unable to parse requirement: {}",
                text.trim_start_matches("unable to parse requirement: ")
            ))
        })?;
        let fields = fields::Selector::parse(&options.field_selector).map_err(bad)?;
        let fields = fields.transform(|field| canonical(target, field)).map_err(bad)?;
        let by_name = |field: &str| matches!(field, "metadata.name" | "metadata.namespace");
        let needs_tree = !labels.is_everything() || fields.terms().iter().any(|term| !by_name(&term.field));
        let trivial = labels.is_everything() && fields.is_everything();
        Ok(Selectors { labels, fields, trivial, needs_tree })
    }

    pub fn is_everything(&self) -> bool {
        self.trivial
    }

    pub fn matches(&self, target: &Target, entry: &Entry) -> bool {
        if self.trivial {
            return true;
        }
        if self.needs_tree {
            return self.matches_tree(target, &target.tree(entry));
        }
        let mut parts = entry.key.rsplit('/');
        let name = parts.next().unwrap_or_default();
        let namespace = if target.info.namespaced { parts.next().unwrap_or_default() } else { "" };
        self.fields.matches(|field| match field {
            "metadata.name" => Some(Cow::Borrowed(name)),
            _ => Some(Cow::Borrowed(namespace)),
        })
    }

    fn matches_tree(&self, target: &Target, object: &Value) -> bool {
        self.labels.matches_object(object)
            && self.fields.matches(|field| {
                Some(match field {
                    "metadata.name" => Cow::Borrowed(meta::name(object)),
                    "metadata.namespace" => Cow::Borrowed(meta::namespace(object)),
                    field => Cow::Owned(target.strategy.field_label(object, field)),
                })
            })
    }
}

/// The canonical name of a field, or why it cannot be selected by.
fn canonical(target: &Target, field: &str) -> std::result::Result<String, String> {
    let known = target.strategy.field_labels();
    if matches!(field, "metadata.name" | "metadata.namespace") || known.contains(&field) {
        return Ok(field.to_owned());
    }
    if known.is_empty() && target.custom.is_none() {
        let field = apimachinery::go::quote(field);
        return Err(format!(
            "{field} is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
        ));
    }
    Err(format!("field label not supported: {field}"))
}
