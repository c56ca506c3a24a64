//! The one error of this crate: a kind for decisions, a message for people. It crosses the
//! supervisor's socket unchanged.

use serde::{Deserialize, Serialize};
use std::{fmt, io};

/// What a caller may want to decide on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ErrorKind {
    /// No sandbox, container or exec session of that id.
    NotFound,
    /// The id is taken.
    AlreadyExists,
    /// The specification is wrong, or the object is in the wrong state for the call.
    Invalid,
    /// The host or this version cannot honour the specification.
    Unsupported,
    /// The program of the container or exec session could not be started (not found, not
    /// executable, wrong format, working directory, user). The message is worded as runc words
    /// it; the kubelet shows it as StartError with exit code 128.
    Start,
    /// Namespaces, mounts, cgroups or devices could not be set up.
    Setup,
    /// A named limit was reached (descriptors, message size, queue).
    Limit,
    /// The supervisor is gone or does not answer.
    Disconnected,
    /// Any other failure of a system call.
    Io,
}

/// A failed operation. `message` states the cause and never contains secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Error {
    /// For decisions.
    pub kind: ErrorKind,
    /// For people.
    pub message: String,
}

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error { kind, message: message.into() }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Error::new(ErrorKind::Invalid, message)
    }

    pub(crate) fn not_found(what: &str, id: &str) -> Self {
        Error::new(ErrorKind::NotFound, format!("{what} {id:?} not found"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// Adds to a system error what was being done.
pub(crate) trait Context<T> {
    fn context(self, kind: ErrorKind, what: impl fmt::Display) -> Result<T>;
    fn setup(self, what: impl fmt::Display) -> Result<T>
    where
        Self: Sized,
    {
        self.context(ErrorKind::Setup, what)
    }
}

impl<T> Context<T> for io::Result<T> {
    fn context(self, kind: ErrorKind, what: impl fmt::Display) -> Result<T> {
        self.map_err(|e| Error::new(kind, format!("{what}: {}", describe(&e))))
    }
}

/// The text of an errno without Rust's "(os error N)", in lower case as Go and runc print it.
pub(crate) fn describe(e: &io::Error) -> String {
    let text = e.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().collect::<String>() + chars.as_str(),
        None => text.to_owned(),
    }
}
