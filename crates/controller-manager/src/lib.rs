//! Drives the scheduler and the controllers: watch, plan, apply.
