//! The seam to the API server: typed requests in process or over HTTPS, reflector, keyed queue.
//! Controllers, scheduler and kubelet know only this crate; whether the server is in the same
//! process is the composition root's business.

pub mod api;
pub mod events;
pub mod https;
pub mod kubeconfig;
pub mod queue;
pub mod reflector;
pub mod seam;

pub use api::{Client, Resource, Result};
pub use events::{EventType, ObjectRef, Recorder};
pub use https::Https;
pub use kubeconfig::Kubeconfig;
pub use queue::Queue;
pub use reflector::{Cache, Change, Reflector};
pub use seam::{
    List, Object, Options, Patch, Request, Response, Transport, UserInfo, Verb, WatchEvent, WatchStream,
};
