//! Volumes of a Pod on its node: set up, update, tear down.
