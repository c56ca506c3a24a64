//! Jobs and CronJobs: the rules of a Job's spec (`job`, `policies`), of its status (`status`), and of what
//! makes Jobs on a schedule (`cron_job`).

mod cron_job;
mod job;
mod policies;
mod status;

use super::plain::{Kind, Plain};
use crate::read::{at, int};

pub(super) static KINDS: &[Kind] = &[
    (
        "batch",
        "jobs",
        Plain::of()
            .status()
            .generation()
            .orphans()
            .labels(&["status.successful"])
            .label(|job, _| int(at(job, "status"), "succeeded").unwrap_or(0).to_string())
            .created(job::own_selector)
            .named(job::own_selector)
            .rules(|object, errors| job::job(object, true, errors))
            .update(job::update)
            .status_rules(status::update)
            .warn(job::warnings),
    ),
    (
        "batch",
        "cronjobs",
        Plain::of()
            .status()
            .generation()
            .rules(cron_job::create)
            .update(cron_job::update)
            .warn(cron_job::warnings),
    ),
];
