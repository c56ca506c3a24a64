//! End-to-end tests: the real program, real containers, real clients. Never shipped.
