//! What the status of a Job may say, and how it may change. Most rules only judge what changed, so that an
//! odd status of old can still be updated.

use super::job::is_indexed;
use crate::kinds::checks::{condition_is, is_true};
use crate::kinds::pod::errors::Errors;
use crate::read::{at, flag, has, int, list, opt_text, text, time};
use apimachinery::{Path, go};
use serde_json::Value;

/// What of the status is not the same any more.
struct Changed {
    finished: bool,
    complete: bool,
    failed: bool,
    target: bool,
    met: bool,
    completed_indexes: bool,
    failed_indexes: bool,
    active: bool,
    start: bool,
    completion: bool,
    uncounted: bool,
    ready: bool,
    terminating: bool,
}

fn is_finished(status: &Value) -> bool {
    is_true(status, "Complete") || is_true(status, "Failed")
}

fn changed(new: &Value, old: &Value) -> Changed {
    let condition = |kind: &str| is_true(new, kind) != is_true(old, kind);
    let field = |field: &str| at(new, field) != at(old, field);
    let count = |field: &str| int(new, field).unwrap_or(0) != int(old, field).unwrap_or(0);
    Changed {
        finished: is_finished(new) != is_finished(old),
        complete: condition("Complete"),
        failed: condition("Failed"),
        target: condition("FailureTarget"),
        met: condition("SuccessCriteriaMet"),
        completed_indexes: text(new, "completedIndexes") != text(old, "completedIndexes"),
        failed_indexes: field("failedIndexes"),
        active: count("active"),
        start: field("startTime"),
        completion: field("completionTime"),
        uncounted: field("uncountedTerminatedPods"),
        ready: field("ready"),
        terminating: field("terminating"),
    }
}

pub(super) fn update(new: &Value, old: &Value, errors: &mut Errors) {
    let spec = at(new, "spec");
    let (status, before, path) = (at(new, "status"), at(old, "status"), Path::new("status"));
    let changed = changed(status, before);
    counts(status, &path, errors);
    conditions(status, &changed, &path, errors);
    finished(spec, status, &changed, &path, errors);
    all_indexes(spec, status, &changed, &path, errors);
    let finished = is_finished(status);
    if (changed.finished || changed.terminating)
        && let Some(number) = int(status, "terminating").filter(|number| *number > 0 && finished)
    {
        errors.invalid(&path.child("terminating"), number, "terminating>0 is invalid for finished job");
    }
    if changed.ready || changed.active {
        let active = int(status, "active").unwrap_or(0);
        if let Some(ready) = int(status, "ready").filter(|ready| *ready > active) {
            errors.invalid(&path.child("ready"), ready, "cannot set more ready pods than active");
        }
    }
    criteria(spec, status, &path.child("conditions"), errors);
    against_old(spec, status, before, &changed, &path, errors);
}

fn counts(status: &Value, path: &Path, errors: &mut Errors) {
    errors.counts(path, status, &["active", "succeeded", "failed", "ready", "terminating"]);
    let uncounted = at(status, "uncountedTerminatedPods");
    let mut seen: Vec<&str> = Vec::new();
    for field in ["succeeded", "failed"] {
        for (index, uid) in list(uncounted, field).iter().enumerate() {
            let uid = uid.as_str().unwrap_or_default();
            let path = path.child("uncountedTerminatedPods").child(field).index(index);
            if uid.is_empty() {
                errors.invalid(&path, uid, "must not be empty");
            } else if seen.contains(&uid) {
                errors.duplicate(&path, uid);
            } else {
                seen.push(uid);
            }
        }
    }
}

fn conditions(status: &Value, changed: &Changed, path: &Path, errors: &mut Errors) {
    let at_conditions = path.child("conditions");
    let [complete, failed, target, met] =
        ["Complete", "Failed", "FailureTarget", "SuccessCriteriaMet"].map(|kind| is_true(status, kind));
    if (changed.complete || changed.failed) && complete && failed {
        errors.invalid_hidden(&at_conditions, "cannot set Complete=True and Failed=true conditions");
    }
    if (changed.complete || changed.target) && complete && target {
        errors.invalid_hidden(&at_conditions, "cannot set Complete=True and FailureTarget=true conditions");
    }
    let at_completion = path.child("completionTime");
    let completion = at(status, "completionTime");
    if changed.complete || changed.completion {
        if !completion.is_null() && !complete {
            let detail = "cannot set completionTime when there is no Complete=True condition";
            errors.invalid(&at_completion, completion.clone(), detail);
        }
        if completion.is_null() && complete {
            errors.required(&at_completion, "completionTime is required for Complete jobs");
        }
    }
    if let (true, Some(start), Some(end)) =
        (changed.start || changed.completion, time(status, "startTime"), time(status, "completionTime"))
        && end < start
    {
        errors.invalid(&at_completion, completion.clone(), "must be equal to or after `startTime`");
    }
    if (changed.failed || changed.failed_indexes) && failed && !target {
        let detail = "cannot set Failed=True condition without the FailureTarget=true condition";
        errors.invalid_hidden(&at_conditions, detail);
    }
    if (changed.complete || changed.met) && complete && !met {
        let detail = "cannot set Complete=True condition without the SuccessCriteriaMet=true condition";
        errors.invalid_hidden(&at_conditions, detail);
    }
}

fn finished(spec: &Value, status: &Value, changed: &Changed, path: &Path, errors: &mut Errors) {
    if !is_finished(status) {
        return;
    }
    let active = int(status, "active").unwrap_or(0);
    if (changed.finished || changed.active) && active > 0 {
        errors.invalid(&path.child("active"), active, "active>0 is invalid for finished job");
    }
    let never_ran = flag(spec, "suspend") && int(spec, "completions") == Some(0);
    if (changed.finished || changed.start) && !never_ran && !has(status, "startTime") {
        errors.required(&path.child("startTime"), "startTime is required for finished job");
    }
    let uncounted = at(status, "uncountedTerminatedPods");
    let some = ["failed", "succeeded"].iter().any(|field| !list(uncounted, field).is_empty());
    if (changed.finished || changed.uncounted) && some {
        let path = path.child("uncountedTerminatedPods");
        errors.invalid(&path, uncounted.clone(), "must be empty for finished job");
    }
}

fn all_indexes(spec: &Value, status: &Value, changed: &Changed, path: &Path, errors: &mut Errors) {
    let completions = int(spec, "completions");
    let (completed, failed) = (text(status, "completedIndexes"), opt_text(status, "failedIndexes"));
    let (at_completed, at_failed) = (path.child("completedIndexes"), path.child("failedIndexes"));
    let per_index = has(spec, "backoffLimitPerIndex");
    if let (true, Some(completions)) = (changed.completed_indexes, completions)
        && let Err(why) = indexes(completed, completions)
    {
        errors.invalid(&at_completed, completed, format!("error parsing completedIndexes: {why}"));
    }
    if let (true, true, Some(completions), Some(failed)) =
        (changed.failed_indexes, per_index, completions, failed)
        && let Err(why) = indexes(failed, completions)
    {
        errors.invalid(&at_failed, failed, format!("error parsing failedIndexes: {why}"));
    }
    if changed.completed_indexes && !completed.is_empty() && !is_indexed(spec) {
        let detail = "cannot set non-empty completedIndexes when non-indexed completion mode";
        errors.invalid(&at_completed, completed, detail);
    }
    let Some(failed) = failed else { return };
    if changed.failed_indexes && !per_index {
        let detail = "cannot set non-null failedIndexes when backoffLimitPerIndex is null";
        errors.invalid(&at_failed, failed, detail);
    }
    if let (true, Some(completions)) = (changed.failed_indexes || changed.completed_indexes, completions)
        && let Some(index) = overlap(completed, failed, completions)
    {
        let detail = format!("failedIndexes and completedIndexes overlap at index: {index}");
        errors.invalid(&at_failed, failed, detail);
    }
}

fn criteria(spec: &Value, status: &Value, path: &Path, errors: &mut Errors) {
    let met = is_true(status, "SuccessCriteriaMet");
    for (kind, text) in [
        ("Failed", "cannot set SuccessCriteriaMet=True and Failed=true conditions"),
        ("FailureTarget", "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions"),
    ] {
        if met && is_true(status, kind) {
            errors.invalid_hidden(path, text);
        }
    }
    if has(spec, "successPolicy") && !met && is_true(status, "Complete") {
        let detail = "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True";
        errors.invalid_hidden(path, detail);
    }
}

fn against_old(
    spec: &Value,
    status: &Value,
    before: &Value,
    changed: &Changed,
    path: &Path,
    errors: &mut Errors,
) {
    let at_conditions = path.child("conditions");
    for kind in ["Failed", "Complete", "FailureTarget"] {
        if is_true(before, kind) && !is_true(status, kind) {
            let detail = format!("cannot disable the terminal {kind}=True condition");
            errors.invalid_hidden(&at_conditions, detail);
        }
    }
    let may_shrink = is_indexed(spec) && at(spec, "completions") == at(spec, "parallelism");
    for (field, checked) in [("failed", true), ("succeeded", !may_shrink)] {
        let count = |status: &Value| int(status, field).unwrap_or(0);
        if checked && count(status) < count(before) {
            let detail = format!("cannot decrease the {field} counter");
            errors.invalid(&path.child(field), count(status), detail);
        }
    }
    if has(status, "completionTime") && has(before, "completionTime") && changed.completion {
        let value = at(status, "completionTime").clone();
        errors.invalid(&path.child("completionTime"), value, "field is immutable");
    }
    let resumes = is_true(before, "Suspended") && condition_is(status, "Suspended", "False");
    if changed.start && !resumes && has(before, "startTime") && !flag(spec, "suspend") {
        let detail = "field is immutable for unsuspended job once set";
        errors.invalid(&path.child("startTime"), at(status, "startTime").clone(), detail);
    }
    let [met, was_met] = [status, before].map(|status| is_true(status, "SuccessCriteriaMet"));
    if was_met && !met {
        errors.invalid_hidden(&at_conditions, "cannot disable the SuccessCriteriaMet=True condition");
    }
    if is_true(before, "Complete") && !was_met && met {
        let detail = "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions";
        errors.invalid_hidden(&at_conditions, detail);
    }
}

/// How many indexes a list of intervals such as `1,3-5` holds, all below `completions`.
pub(super) fn indexes(listed: &str, completions: i64) -> Result<i64, String> {
    let (mut total, mut last) = (0, None);
    for part in listed.split(',').filter(|_| !listed.is_empty()) {
        let (first, end) = interval(part, completions)?;
        if let Some(last) = last.filter(|last| *last >= first) {
            return Err(format!("non-increasing order, previous: {last}, current: {first}"));
        }
        total += end - first + 1;
        last = Some(end);
    }
    Ok(total)
}

fn interval(part: &str, completions: i64) -> Result<(i64, i64), String> {
    let limits: Vec<&str> = part.split('-').collect();
    let number = |text: &str| {
        let number = text.parse::<i64>();
        let number =
            number.map_err(|_| format!("cannot convert string to integer for index: {}", go::quote(text)))?;
        if number >= completions {
            return Err(format!("too large index: {}", go::quote(text)));
        }
        Ok(number)
    };
    match limits.as_slice() {
        [one] => number(one).map(|number| (number, number)),
        [first, last] => {
            let (first, last) = (number(first)?, number(last)?);
            if first >= last {
                return Err(format!("non-increasing order, previous: {first}, current: {last}"));
            }
            Ok((first, last))
        }
        _ => Err(format!(
            "the fragment {} violates the requirement that an index interval can have at most two parts separated by '-'",
            go::quote(part)
        )),
    }
}

/// The first index that both lists hold; what cannot be read is left out.
fn overlap(completed: &str, failed: &str, completions: i64) -> Option<i64> {
    let parse = |listed: &str| -> Vec<(i64, i64)> {
        listed.split(',').filter_map(|part| interval(part, completions).ok()).collect()
    };
    let (completed, failed) = (parse(completed), parse(failed));
    let (mut completed, mut failed) = (completed.iter().peekable(), failed.iter().peekable());
    while let (Some(c), Some(f)) = (completed.peek(), failed.peek()) {
        if c.0 <= f.1 && f.0 <= c.1 {
            return Some(c.0.max(f.0));
        }
        if c.0 <= f.0 {
            completed.next();
        } else {
            failed.next();
        }
    }
    None
}
