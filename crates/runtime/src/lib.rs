//! The embedded OCI runtime and the supervisor process that outlives the daemon.
