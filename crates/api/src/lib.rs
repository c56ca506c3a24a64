//! The kinds: one table of REST facts, and defaulting, validation, strategy and columns per kind. Pure.
