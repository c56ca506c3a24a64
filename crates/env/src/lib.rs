//! Clock, randomness and tasks: the one door to everything non-deterministic.
