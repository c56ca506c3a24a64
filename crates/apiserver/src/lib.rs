//! The API server: HTTP, authentication, authorization, admission, registry and one file per verb.
