//! Test helpers: object builders, a virtual clock, waits with a deadline. Never shipped.
