//! The status of definitions: which names are whose, whether a resource is served, and how it ends. All of it is
//! decided here, from one definition and the others of its group.

use crate::definition::is_true;
use apimachinery::{FieldError, Path, Time, go, meta};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Keeps a definition until all objects of its resource are gone.
pub const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

const APPROVAL: &str = "api-approved.kubernetes.io";
const APPROVAL_HELP: &str = "see https://github.com/kubernetes/enhancements/pull/1111";

/// A condition: type, status, reason, message.
pub type Condition = (&'static str, &'static str, &'static str, String);

/// The definition with the status it should have; `None` if it has it.
pub fn plan(definition: &Value, all: &[&Value], now: Time) -> Option<Value> {
    let mut new = definition.clone();
    names(&mut new, all, now);
    structural(&mut new, now);
    approval(&mut new, now);
    establish(&mut new, now);
    (new != *definition).then_some(new)
}

/// Sets a condition; its time changes with its status only.
pub fn set_condition(definition: &mut Value, condition: Condition, now: Time) {
    let (kind, status, reason, message) = condition;
    let conditions = &mut definition["status"]["conditions"];
    if !conditions.is_array() {
        *conditions = json!([]);
    }
    let Some(list) = conditions.as_array_mut() else { return };
    let old = list.iter().position(|old| old["type"] == kind);
    let time = old
        .filter(|at| list[*at]["status"] == status)
        .and_then(|at| list[at]["lastTransitionTime"].as_str().map(str::to_owned))
        .unwrap_or_else(|| now.truncated().to_string());
    let mut new = json!({
        "lastTransitionTime": time, "message": message, "reason": reason, "status": status, "type": kind,
    });
    match old {
        Some(at) => {
            // Whatever else a condition says stays.
            if let Some(observed) = list[at].get("observedGeneration") {
                new["observedGeneration"] = observed.clone();
            }
            list[at] = new;
        }
        None => list.push(new),
    }
}

fn remove_condition(definition: &mut Value, kind: &str) {
    if let Some(list) = definition["status"]["conditions"].as_array_mut() {
        list.retain(|condition| condition["type"] != kind);
    }
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn texts(value: &Value, field: &str) -> Vec<String> {
    let list = value.get(field).and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The names that are taken in a group: of resources, and of kinds.
fn taken(group: &str, all: &[&Value]) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut resources, mut kinds) = (BTreeSet::new(), BTreeSet::new());
    for other in all.iter().filter(|other| text(&other["spec"], "group") == group) {
        let names = &other["status"]["acceptedNames"];
        resources.extend([text(names, "plural").to_owned(), text(names, "singular").to_owned()]);
        resources.extend(texts(names, "shortNames"));
        kinds.extend([text(names, "kind").to_owned(), text(names, "listKind").to_owned()]);
    }
    (resources, kinds)
}

fn names(definition: &mut Value, all: &[&Value], now: Time) {
    let (asked, accepted) =
        (definition["spec"]["names"].clone(), definition["status"]["acceptedNames"].clone());
    if asked == accepted && is_told(definition, "NamesAccepted") {
        return;
    }
    let (resources, kinds) = taken(text(&definition["spec"], "group"), all);
    let mut new = accepted.clone();
    if !new.is_object() {
        new = json!({});
    }
    let mut conflict: Option<(&'static str, String)> = None;
    let used = |name: &str| format!("{} is already in use", go::quote(name));
    let mut one = |field: &str, reason: &'static str, taken: &BTreeSet<String>| {
        let (asked, own) = (text(&asked, field), text(&accepted, field));
        if asked != own && taken.contains(asked) {
            conflict = Some((reason, used(asked)));
        } else if !asked.is_empty() {
            new[field] = asked.into();
        }
    };
    one("plural", "PluralConflict", &resources);
    one("singular", "SingularConflict", &resources);
    let own: Vec<String> = texts(&accepted, "shortNames");
    let wanted: Vec<String> = texts(&asked, "shortNames");
    let bad: Vec<String> = wanted
        .iter()
        .filter(|name| !own.contains(name) && resources.contains(*name))
        .map(|name| used(name))
        .collect();
    one("kind", "KindConflict", &kinds);
    one("listKind", "ListKindConflict", &kinds);
    if wanted != own {
        match bad.as_slice() {
            [] => set_list(&mut new, "shortNames", wanted),
            [only] => conflict = conflict.or(Some(("ShortNamesConflict", only.clone()))),
            many => conflict = conflict.or(Some(("ShortNamesConflict", format!("[{}]", many.join(", "))))),
        }
    }
    set_list(&mut new, "categories", texts(&asked, "categories"));
    definition["status"]["acceptedNames"] = new;
    let condition = match conflict {
        Some((reason, message)) => ("NamesAccepted", "False", reason, message),
        None => ("NamesAccepted", "True", "NoConflicts", "no conflicts found".into()),
    };
    let good = condition.1 == "True";
    set_condition(definition, condition, now);
    if !good && !is_told(definition, "Established") {
        let message = "not all names are accepted".into();
        set_condition(definition, ("Established", "False", "NotAccepted", message), now);
    }
}

fn set_list(names: &mut Value, field: &str, list: Vec<String>) {
    let Some(map) = names.as_object_mut() else { return };
    if list.is_empty() {
        map.remove(field);
    } else {
        map.insert(field.into(), list.into());
    }
}

fn is_told(definition: &Value, kind: &str) -> bool {
    let conditions = definition.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().any(|condition| condition["type"] == kind)
}

fn establish(definition: &mut Value, now: Time) {
    if !is_true(definition, "NamesAccepted") || is_true(definition, "Established") {
        return;
    }
    let bundle = &definition["spec"]["conversion"]["webhook"]["clientConfig"]["caBundle"];
    let condition = if bundle.as_str().is_some_and(|bundle| !is_bundle(bundle)) {
        ("Established", "False", "InvalidCABundle", "The conversion webhook CABundle is invalid".into())
    } else {
        ("Established", "True", "InitialNamesAccepted", "the initial names have been accepted".into())
    };
    set_condition(definition, condition, now);
}

/// Whether a bundle has at least one certificate.
fn is_bundle(bundle: &str) -> bool {
    use base64::Engine;
    let Ok(pem) = base64::engine::general_purpose::STANDARD.decode(bundle) else { return false };
    pem.is_empty() || String::from_utf8_lossy(&pem).contains("-----BEGIN CERTIFICATE-----")
}

/// Definitions that were let in when schemas were looser.
fn structural(definition: &mut Value, now: Time) {
    if definition["spec"]["preserveUnknownFields"] == true {
        let path = Path::new("spec").child("preserveUnknownFields");
        let error = FieldError::invalid(&path, true, "must be false");
        let condition = ("NonStructuralSchema", "True", "Violations", error.to_string());
        set_condition(definition, condition, now);
    } else {
        remove_condition(definition, "NonStructuralSchema");
    }
}

/// Groups of Kubernetes itself need somebody's approval.
fn approval(definition: &mut Value, now: Time) {
    const KIND: &str = "KubernetesAPIApprovalPolicyConformant";
    let group = text(&definition["spec"], "group");
    let protected =
        |domain: &str| group == domain || group.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
    if !protected("k8s.io") && !protected("kubernetes.io") {
        return;
    }
    let annotation = meta::annotation(definition, APPROVAL).unwrap_or_default().to_owned();
    let is_url = annotation.split_once("://").is_some_and(|(scheme, rest)| {
        !scheme.is_empty() && !rest.split('/').next().unwrap_or_default().is_empty()
    });
    let needs = format!("protected groups must have approval annotation {}", go::quote(APPROVAL));
    let (status, reason, message) = if annotation.is_empty() {
        ("False", "MissingAnnotation", format!("{needs}, {APPROVAL_HELP}"))
    } else if annotation.starts_with("unapproved") {
        ("False", "UnapprovedAnnotation", format!("not approved: {}", go::quote(&annotation)))
    } else if is_url {
        ("True", "ApprovedAnnotation", format!("approved in {annotation}"))
    } else {
        let message =
            format!("{needs} with either a URL or a reason starting with \"unapproved\", {APPROVAL_HELP}");
        ("False", "InvalidAnnotation", message)
    };
    set_condition(definition, (KIND, status, reason, message), now);
}

/// What a definition is marked with when it is deleted.
pub fn mark_deleted(definition: &mut Value, now: Time) {
    meta::add_finalizer(definition, CLEANUP);
    let message =
        "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon".into();
    set_condition(definition, ("Terminating", "True", "InstanceDeletionPending", message), now);
}

/// What becomes of a definition that is being deleted.
#[derive(Debug, PartialEq)]
pub enum Ending {
    /// Nothing is to be done.
    None,
    /// Say that deletion goes on.
    Tell(Value),
    /// Delete what is there.
    DeleteObjects,
    /// All is gone: without its finalizer.
    Finish(Value),
}

/// The next step; `objects` is how many objects of the resource there are.
pub fn end(definition: &Value, objects: usize, now: Time) -> Ending {
    if !meta::is_deleting(definition) || !meta::has_finalizer(definition, CLEANUP) {
        return Ending::None;
    }
    let mut new = definition.clone();
    if !is_true(definition, "Established") {
        let message = "resource was never established".into();
        set_condition(&mut new, ("Terminating", "False", "NeverEstablished", message), now);
        meta::remove_finalizer(&mut new, CLEANUP);
        return Ending::Finish(new);
    }
    if objects == 0 {
        let message = "removed all instances".into();
        set_condition(&mut new, ("Terminating", "False", "InstanceDeletionCompleted", message), now);
        meta::remove_finalizer(&mut new, CLEANUP);
        return Ending::Finish(new);
    }
    let message = "CustomResource deletion is in progress".into();
    set_condition(&mut new, ("Terminating", "True", "InstanceDeletionInProgress", message), now);
    if new == *definition { Ending::DeleteObjects } else { Ending::Tell(new) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(plural: &str, kind: &str, short: &[&str]) -> Value {
        json!({"metadata": {"name": format!("{plural}.example.com")}, "spec": {"group": "example.com",
            "names": {"plural": plural, "singular": kind.to_lowercase(), "kind": kind, "listKind": format!("{kind}List"), "shortNames": short}},
            "status": {"acceptedNames": {"plural": "", "kind": ""}, "conditions": null, "storedVersions": ["v1"]}})
    }

    fn now() -> Time {
        Time::parse("2024-01-01T00:00:00Z").unwrap()
    }

    fn condition(definition: &Value, kind: &str) -> String {
        let list = definition["status"]["conditions"].as_array().unwrap();
        let found = list.iter().find(|condition| condition["type"] == kind);
        found.map_or_else(String::new, |found| {
            format!("{} {}: {}", text(found, "status"), text(found, "reason"), text(found, "message"))
        })
    }

    #[test]
    fn names_belong_to_who_came_first() {
        let first = plan(&definition("widgets", "Widget", &["wd"]), &[], now()).unwrap();
        assert_eq!(condition(&first, "NamesAccepted"), "True NoConflicts: no conflicts found");
        assert_eq!(
            condition(&first, "Established"),
            "True InitialNamesAccepted: the initial names have been accepted"
        );
        assert_eq!(first["status"]["acceptedNames"], first["spec"]["names"]);
        assert!(plan(&first, &[&first], now()).is_none());

        let second = definition("gadgets", "Widget", &["wd", "gd"]);
        let second = plan(&second, &[&first, &second], now()).unwrap();
        assert_eq!(
            condition(&second, "NamesAccepted"),
            "False ListKindConflict: \"WidgetList\" is already in use"
        );
        assert_eq!(condition(&second, "Established"), "False NotAccepted: not all names are accepted");
        assert!(plan(&second, &[&first, &second], now()).is_none());
        // Once the first is gone.
        let again = plan(&second, &[&second], now()).unwrap();
        assert!(condition(&again, "NamesAccepted").starts_with("True"));
        assert!(condition(&again, "Established").starts_with("True"));
        // Elsewhere the same names are nobody's.
        let mut elsewhere = definition("widgets", "Widget", &["wd"]);
        elsewhere["spec"]["group"] = "other.com".into();
        let elsewhere = plan(&elsewhere, &[&first], now()).unwrap();
        assert!(condition(&elsewhere, "NamesAccepted").starts_with("True"));
    }

    #[test]
    fn protected_groups_say_who_approved() {
        for (annotation, want) in [
            ("https://example.com/1", "True ApprovedAnnotation"),
            ("unapproved, a test", "False UnapprovedAnnotation"),
            ("x", "False InvalidAnnotation"),
        ] {
            let mut asked = definition("widgets", "Widget", &[]);
            asked["spec"]["group"] = "x.k8s.io".into();
            meta::set_annotation(&mut asked, APPROVAL, annotation);
            let planned = plan(&asked, &[], now()).unwrap();
            assert!(
                condition(&planned, "KubernetesAPIApprovalPolicyConformant").starts_with(want),
                "{planned}"
            );
        }
    }

    #[test]
    fn a_definition_ends_with_its_last_object() {
        let mut ending = plan(&definition("widgets", "Widget", &[]), &[], now()).unwrap();
        assert_eq!(end(&ending, 3, now()), Ending::None);
        mark_deleted(&mut ending, now());
        meta::set_deletion_timestamp(&mut ending, Some(now()));
        let Ending::Tell(told) = end(&ending, 3, now()) else { panic!("it is told first") };
        assert!(condition(&told, "Terminating").starts_with("True InstanceDeletionInProgress"));
        assert_eq!(end(&told, 3, now()), Ending::DeleteObjects);
        let Ending::Finish(done) = end(&told, 0, now()) else { panic!("nothing is left") };
        assert!(condition(&done, "Terminating").starts_with("False InstanceDeletionCompleted"));
        assert!(!meta::has_finalizer(&done, CLEANUP));
    }
}
