//! CronJobs: a schedule, a time zone, and the template of a Job.

use super::job;
use crate::cron;
use crate::kinds::apps::name_warning;
use crate::kinds::pod::errors::Errors;
use crate::read::{at, flag, opt_text, text};
use apimachinery::{FieldError, Path, meta};
use serde_json::Value;

/// Eleven less than a label holds: the controller appends that much.
const MAX_NAME: usize = 52;
const MAX_ZONE_PART: usize = 14;

pub(super) fn create(cron_job: &Value, errors: &mut Errors) {
    spec(at(cron_job, "spec"), None, errors);
    let name = meta::name(cron_job);
    if name.len() > MAX_NAME {
        let path = Path::new("metadata").child("name");
        errors.invalid(&path, name, format!("must be no more than {MAX_NAME} characters"));
    }
}

pub(super) fn update(new: &Value, old: &Value, errors: &mut Errors) {
    spec(at(new, "spec"), Some(at(old, "spec")), errors);
}

fn spec(spec: &Value, old: Option<&Value>, errors: &mut Errors) {
    let path = Path::new("spec");
    let schedule = text(spec, "schedule");
    if schedule.is_empty() {
        errors.required(&path.child("schedule"), "");
    } else {
        let had_zone = old.is_some_and(|old| text(old, "schedule").contains("TZ"));
        self::schedule(spec, schedule, had_zone, &path.child("schedule"), errors);
    }
    errors.not_negative(&path, spec, "startingDeadlineSeconds");
    if old.is_none_or(|old| at(old, "timeZone") != at(spec, "timeZone"))
        && let Some(zone) = opt_text(spec, "timeZone")
    {
        time_zone(zone, &path.child("timeZone"), errors);
    }
    let policy = text(spec, "concurrencyPolicy");
    errors.one_of(&path.child("concurrencyPolicy"), policy, &["Allow", "Forbid", "Replace"]);
    job_template(at(spec, "jobTemplate"), &path.child("jobTemplate"), errors);
    errors.counts(&path, spec, &["successfulJobsHistoryLimit", "failedJobsHistoryLimit"]);
}

fn schedule(spec: &Value, schedule: &str, had_zone: bool, path: &Path, errors: &mut Errors) {
    if let Err(why) = cron::Schedule::parse(schedule) {
        errors.invalid(path, schedule, why);
    }
    if !schedule.contains("TZ") {
        return;
    }
    if !had_zone {
        let detail = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead";
        errors.invalid(path, schedule, detail);
    } else if opt_text(spec, "timeZone").is_some() {
        errors.invalid(path, schedule, "cannot use both timeZone field and TZ or CRON_TZ in schedule");
    }
}

fn time_zone(zone: &str, path: &Path, errors: &mut Errors) {
    if zone.is_empty() {
        return errors.invalid(path, zone, "timeZone must be nil or non-empty string");
    }
    let good = |part: &str| {
        let character = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_' | b'+');
        !matches!(part, "" | "." | "..")
            && !part.starts_with('-')
            && part.len() <= MAX_ZONE_PART
            && part.bytes().all(character)
    };
    if !zone.split('/').all(good) {
        return errors.invalid(path, zone, format!("unknown time zone {zone}"));
    }
    if zone.eq_ignore_ascii_case("local") {
        let detail = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
        errors.invalid(path, zone, detail);
    }
    if zone != "Local" && !cron::is_time_zone(zone) {
        errors.invalid(path, zone, format!("unknown time zone {zone}"));
    }
}

fn job_template(template: &Value, path: &Path, errors: &mut Errors) {
    let (spec, path) = (at(template, "spec"), path.child("spec"));
    job::spec(spec, &path, errors);
    let selector = at(spec, "selector");
    if !selector.is_null() {
        errors.invalid(&path.child("selector"), selector.clone(), "`selector` will be auto-generated");
    }
    if flag(spec, "manualSelector") {
        errors.push(FieldError::not_supported(&path.child("manualSelector"), true, &["nil", "false"]));
    }
}

pub(super) fn warnings(new: &Value, old: Option<&Value>) -> Vec<String> {
    let mut out: Vec<String> = name_warning(new, old).into_iter().collect();
    let spec = at(new, "spec");
    let path = Path::new("spec");
    if old.is_none_or(|old| meta::generation(old) != meta::generation(new)) {
        let inner = at(at(spec, "jobTemplate"), "spec");
        out.extend(job::spec_warnings(inner, &path.child("jobTemplate").child("spec")));
    }
    if old.is_some() && text(spec, "schedule").contains("TZ") {
        out.push(
            "cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details".into(),
        );
    }
    out
}
