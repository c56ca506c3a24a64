//! One plan per controller: desired and observed state in, actions out. Pure.
