//! What can go wrong with images, each with the place where it did.

use std::io;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{path}: {message}")]
    Archive { path: PathBuf, message: String },
    #[error("layer {digest}: {message}")]
    Layer { digest: String, message: String },
    #[error("image config: {0}")]
    Config(String),
    /// A name or an address that cannot be one.
    #[error("{0}")]
    Invalid(String),
    #[error("no image named {0:?} on this node")]
    NotFound(String),
    /// The registry answered, but not with an image.
    #[error("{0}")]
    Pull(String),
    /// The registry could not be reached.
    #[error("{0}")]
    Unreachable(String),
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Whether the registry could not be reached at all.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Error::Unreachable(_))
    }
}

/// Adds the path to an IO error.
pub(crate) trait At<T> {
    fn at(self, path: impl Into<PathBuf>) -> Result<T>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, path: impl Into<PathBuf>) -> Result<T> {
        self.map_err(|source| Error::Io { path: path.into(), source })
    }
}
