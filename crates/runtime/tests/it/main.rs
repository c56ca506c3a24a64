//! Privileged tests: they run as root on a Linux host with /bin/busybox (static) and fail where
//! that is missing. Each test has its own instance (cgroup, directory, supervisor) and checks in
//! the end that nothing of it is left.
// Tests of real processes need real time and tasks; there is nothing to simulate.
#![allow(clippy::disallowed_methods)]

mod basics;
mod harness;
mod isolation;
mod lifecycle;
mod oracle;
mod streams;
