//! The database: revisions, conditional writes, one event stream, durable through an authority.
