//! Strategies of the kinds.


