//! A Job's own rules: its selector (which the server writes unless told not to), its counts, its template,
//! and what of it may still change.

use super::policies;
use crate::kinds::apps::{name_warning, selects_template};
use crate::kinds::checks::{IMMUTABLE, condition_is, same, selector_of};
use crate::kinds::pod::{self, affinity::label_selector, errors::Errors};
use crate::read::{at, flag, has, int, list, object_at, opt_text, text};
use apimachinery::{Path, meta, validation};
use serde_json::{Map, Value, json};

const NAME_LABELS: [&str; 2] = ["job-name", "batch.kubernetes.io/job-name"];
const UID_LABELS: [&str; 2] = ["controller-uid", "batch.kubernetes.io/controller-uid"];
const MAX_INDEXED: i64 = 100_000;
/// Above this many completions the other limits get tighter.
const SOFT_COMPLETIONS: i64 = 100_000;
const MAX_IF_MANY: i64 = 10_000;
const MAX_MANAGED_BY: usize = 63;
/// What a suspended Job may still change about where its Pods run.
const DIRECTIVES: [&str; 3] = ["nodeSelector", "tolerations", "schedulingGates"];

/// The Job's name (once it has one) and uid as labels of its Pods, and a selector of the uid.
pub(super) fn own_selector(job: &mut Value) {
    if flag(at(job, "spec"), "manualSelector") {
        return;
    }
    let (name, uid) = (meta::name(job).to_owned(), meta::uid(job).to_owned());
    write_selector(job, &name, uid);
    // Without labels of its own a Job has those of its template, which are complete with its name.
    if !name.is_empty() {
        crate::defaults::apply(job);
    }
}

fn write_selector(job: &mut Value, name: &str, uid: String) {
    let spec = object_at(job, "spec");
    let template = meta::object_at(spec, "template");
    let own = meta::object_at(meta::object_at(template, "metadata"), "labels");
    for key in NAME_LABELS.into_iter().filter(|_| !name.is_empty()) {
        own.entry(key).or_insert_with(|| name.into());
    }
    for key in UID_LABELS {
        own.entry(key).or_insert_with(|| uid.clone().into());
    }
    let selector = meta::object_at(meta::object_at(spec, "selector"), "matchLabels");
    selector.entry(UID_LABELS[1]).or_insert_with(|| uid.into());
}

pub(super) fn is_indexed(spec: &Value) -> bool {
    text(spec, "completionMode") == "Indexed"
}

/// A whole Job; `prefixed`: its Pods must have the labels with a domain too.
pub(super) fn job(job: &Value, prefixed: bool, errors: &mut Errors) {
    generated_selector(job, prefixed, errors);
    let spec = at(job, "spec");
    selected_spec(spec, &Path::new("spec"), errors);
    let completions = int(spec, "completions").unwrap_or(0);
    if is_indexed(spec) && completions > 0 {
        let host = format!("{}-{}", meta::name(job), completions - 1);
        if !validation::dns1123_label(&host).is_empty() {
            let detail = format!("will not able to create pod with invalid DNS label: {host}");
            errors.invalid(&Path::new("metadata").child("name"), meta::name(job), detail);
        }
    }
}

fn generated_selector(job: &Value, prefixed: bool, errors: &mut Errors) {
    let spec = at(job, "spec");
    let selector = at(spec, "selector");
    if flag(spec, "manualSelector") || selector.is_null() {
        return;
    }
    let (name, uid) = (meta::name(job), meta::uid(job));
    if uid.is_empty() {
        errors.required(&Path::new("metadata").child("uid"), "");
    }
    let own = at(at(at(spec, "template"), "metadata"), "labels");
    let path = Path::new("spec").child("template").child("metadata").child("labels");
    let pairs = [(UID_LABELS[0], uid), (NAME_LABELS[0], name), (UID_LABELS[1], uid), (NAME_LABELS[1], name)];
    let mut expected = Map::new();
    for (key, value) in pairs.into_iter().take(if prefixed { 4 } else { 2 }) {
        match opt_text(own, key) {
            None => errors.required(&path.key(key), &format!("must be '{value}'")),
            Some(found) if found != value => {
                errors.invalid(&path.key(key), own.clone(), format!("must be '{value}'"));
            }
            Some(_) => {}
        }
        expected.insert(key.into(), value.into());
    }
    if selector_of(selector).is_some_and(|selector| !selector.matches(Some(&expected))) {
        let path = Path::new("spec").child("selector");
        errors.invalid(&path, selector.clone(), "`selector` not auto-generated");
    }
}

fn selected_spec(spec: &Value, path: &Path, errors: &mut Errors) {
    self::spec(spec, path, errors);
    let selector = at(spec, "selector");
    if selector.is_null() {
        errors.required(&path.child("selector"), "");
    } else {
        label_selector(selector, &path.child("selector"), errors);
    }
    if let Some(found) = selector_of(selector) {
        selects_template(&found, at(spec, "template"), &path.child("template"), errors);
    }
}

/// The spec of a Job or of a CronJob's template, without its selector.
pub(super) fn spec(spec: &Value, path: &Path, errors: &mut Errors) {
    let counts = [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ];
    errors.counts(path, spec, &counts);
    if has(spec, "maxFailedIndexes") && !has(spec, "backoffLimitPerIndex") {
        errors.required(&path.child("backoffLimitPerIndex"), "when maxFailedIndexes is specified");
    }
    if let Some(manager) = opt_text(spec, "managedBy") {
        errors.domain_prefixed_path(&path.child("managedBy"), manager);
        errors.max_bytes(&path.child("managedBy"), manager, MAX_MANAGED_BY);
    }
    if let Some(mode) = opt_text(spec, "completionMode") {
        errors.known(&path.child("completionMode"), mode, &["NonIndexed", "Indexed"]);
        if is_indexed(spec) {
            indexed(spec, path, errors);
        }
    }
    if matches!(opt_text(spec, "completionMode"), None | Some("NonIndexed")) {
        for field in ["backoffLimitPerIndex", "maxFailedIndexes"] {
            if let Some(number) = int(spec, field) {
                errors.invalid(&path.child(field), number, "requires indexed completion mode");
            }
        }
    }
    if has(spec, "podFailurePolicy") {
        policies::failure(spec, &path.child("podFailurePolicy"), errors);
    }
    if has(spec, "successPolicy") {
        let (policy, path) = (at(spec, "successPolicy"), path.child("successPolicy"));
        if is_indexed(spec) {
            policies::success(policy, int(spec, "completions").unwrap_or(0), &path, errors);
        } else {
            errors.invalid(&path, policy.clone(), "requires indexed completion mode");
        }
    }
    if let Some(policy) = opt_text(spec, "podReplacementPolicy") {
        let only: &[&str] =
            if has(spec, "podFailurePolicy") { &["Failed"] } else { &["Failed", "TerminatingOrFailed"] };
        errors.known(&path.child("podReplacementPolicy"), policy, only);
    }
    pod::template(at(spec, "template"), &path.child("template"), errors);
    restart_policy(spec, &path.child("template").child("spec").child("restartPolicy"), errors);
}

fn restart_policy(spec: &Value, path: &Path, errors: &mut Errors) {
    match text(at(at(spec, "template"), "spec"), "restartPolicy") {
        "Always" | "" => errors.required(path, "valid values: \"OnFailure\", \"Never\""),
        "OnFailure" if has(spec, "podFailurePolicy") => {
            let detail = "only \"Never\" is supported when podFailurePolicy is specified";
            errors.invalid(path, "OnFailure", detail);
        }
        policy => errors.known(path, policy, &["OnFailure", "Never"]),
    }
}

fn indexed(spec: &Value, path: &Path, errors: &mut Errors) {
    let [completions, parallelism, failed] =
        ["completions", "parallelism", "maxFailedIndexes"].map(|field| int(spec, field));
    let at_failed = path.child("maxFailedIndexes");
    if completions.is_none() {
        errors.required(&path.child("completions"), "when completion mode is Indexed");
    }
    if let Some(number) = parallelism.filter(|number| *number > MAX_INDEXED) {
        let detail = format!("must be less than or equal to {MAX_INDEXED} when completion mode is Indexed");
        errors.invalid(&path.child("parallelism"), number, detail);
    }
    if let (Some(all), Some(failed)) = (completions, failed)
        && failed > all
    {
        errors.invalid(&at_failed, failed, "must be less than or equal to completions");
    }
    if let Some(failed) = failed.filter(|failed| *failed > MAX_INDEXED) {
        errors.invalid(&at_failed, failed, format!("must be less than or equal to {MAX_INDEXED}"));
    }
    if completions.unwrap_or(0) <= SOFT_COMPLETIONS || !has(spec, "backoffLimitPerIndex") {
        return;
    }
    if failed.is_none() {
        let detail = format!("must be specified when completions is above {SOFT_COMPLETIONS}");
        errors.required(&at_failed, &detail);
    }
    for (number, field) in [(parallelism, "parallelism"), (failed, "maxFailedIndexes")] {
        if let Some(number) = number.filter(|number| *number > MAX_IF_MANY) {
            let detail = format!(
                "must be less than or equal to {MAX_IF_MANY} when completions are above {SOFT_COMPLETIONS} and used with backoff limit per index"
            );
            errors.invalid(&path.child(field), number, detail);
        }
    }
}

pub(super) fn update(new: &Value, old: &Value, errors: &mut Errors) {
    let (spec, before, path) = (at(new, "spec"), at(old, "spec"), Path::new("spec"));
    let labels = at(at(at(before, "template"), "metadata"), "labels");
    job(new, has(labels, NAME_LABELS[1]) && has(labels, UID_LABELS[1]), errors);
    selected_spec(spec, &path, errors);
    completions(spec, before, &path.child("completions"), errors);
    errors.immutable_fields(&path, spec, before, &["selector"]);
    template_update(new, old, &path.child("template"), errors);
    let fixed = ["completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"];
    errors.immutable_fields(&path, spec, before, &fixed);
}

/// An indexed Job grows and shrinks, together with its parallelism.
fn completions(spec: &Value, before: &Value, path: &Path, errors: &mut Errors) {
    let (new, old) = (at(spec, "completions"), at(before, "completions"));
    if !is_indexed(spec) {
        return errors.immutable(path, new, old);
    }
    if new != old && !new.is_null() && new != at(spec, "parallelism") {
        errors.invalid(path, new.clone(), "can only be modified in tandem with spec.parallelism");
    }
}

/// While a Job is suspended and none of its Pods run, it may still change where they run and what they get.
fn template_update(new: &Value, old: &Value, path: &Path, errors: &mut Errors) {
    let (spec, before) = (at(new, "spec"), at(old, "spec"));
    let (template, mut kept) = (at(spec, "template"), at(before, "template").clone());
    let status = at(old, "status");
    let suspended = flag(before, "suspend");
    let waits = !has(status, "startTime") || condition_is(status, "Suspended", "True");
    if !(suspended && waits && int(status, "active").unwrap_or(0) == 0) {
        return errors.immutable(path, template, &kept);
    }
    let inner = object_at(&mut kept, "spec");
    let wanted = at(template, "spec");
    node_affinity(inner, at(wanted, "affinity"));
    for field in DIRECTIVES {
        set(inner, field, at(wanted, field));
    }
    for field in ["containers", "initContainers"] {
        resources(inner, list(wanted, field), field);
    }
    let notes = object_at(&mut kept, "metadata");
    for field in ["annotations", "labels"] {
        set(notes, field, at(at(template, "metadata"), field));
    }
    if !same(wanted, at(&kept, "spec")) {
        errors.invalid(&Path::new("spec").child("template.spec"), wanted.clone(), IMMUTABLE);
    }
}

fn set(object: &mut Map<String, Value>, field: &str, value: &Value) {
    if value.is_null() {
        object.remove(field);
    } else {
        object.insert(field.into(), value.clone());
    }
}

fn node_affinity(spec: &mut Map<String, Value>, wanted: &Value) {
    let mut kept = spec.get("affinity").cloned().unwrap_or(Value::Null);
    match (wanted.is_null(), kept.is_null()) {
        (true, true) => return,
        (false, true) => kept = json!({"nodeAffinity": at(wanted, "nodeAffinity")}),
        _ => {}
    }
    if let Some(kept) = kept.as_object_mut() {
        set(kept, "nodeAffinity", at(wanted, "nodeAffinity"));
        if wanted.is_null() && kept.is_empty() {
            spec.remove("affinity");
            return;
        }
    }
    spec.insert("affinity".into(), kept);
}

fn resources(spec: &mut Map<String, Value>, wanted: &[Value], field: &str) {
    let Some(Value::Array(kept)) = spec.get_mut(field) else { return };
    if kept.len() != wanted.len() {
        return;
    }
    for (kept, wanted) in kept.iter_mut().zip(wanted) {
        if let Some(kept) = kept.as_object_mut()
            && kept.get("name") == wanted.get("name")
        {
            set(kept, "resources", at(wanted, "resources"));
        }
    }
}

pub(super) fn warnings(new: &Value, old: Option<&Value>) -> Vec<String> {
    let mut out: Vec<String> = name_warning(new, old).into_iter().collect();
    if old.is_none_or(|old| meta::generation(old) != meta::generation(new)) {
        out.extend(spec_warnings(at(new, "spec"), &Path::new("spec")));
    }
    out
}

pub(super) fn spec_warnings(spec: &Value, path: &Path) -> Vec<String> {
    let mut out = Vec::new();
    let count = |field| int(spec, field).unwrap_or(0);
    if is_indexed(spec) && count("completions") > SOFT_COMPLETIONS && count("parallelism") > MAX_IF_MANY {
        out.push(format!(
            "{path}: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, Kubernetes might not be able to track completedIndexes when a big number of indexes fail"
        ));
    }
    out.extend(pod::template_warnings(at(spec, "template"), &path.child("template")));
    out
}
