//! Which node a Pod goes to, and why: snapshot, plugins, diagnosis. Pure.
