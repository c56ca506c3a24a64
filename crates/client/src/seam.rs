//! The seam: what may be asked of an API server, as values. The same request goes to a server in
//! this process (no bytes in between) or over HTTPS; authorization, admission and flow control
//! apply to both alike. Not here: how a request travels ([`crate::https`]) or who answers it.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use apimachinery::gvk::GroupVersionResource;
use apimachinery::status::Status;
use futures_util::Stream;
use futures_util::future::BoxFuture;
use serde_json::Value;

/// An object as the API server would answer it, resourceVersion included. Shared, never changed.
pub type Object = Arc<Value>;

/// Who asks (the API's `user.Info`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserInfo {
    pub name: String,
    pub uid: String,
    pub groups: Vec<String>,
    pub extra: BTreeMap<String, Vec<String>>,
}

impl UserInfo {
    /// A user of some groups; `system:authenticated` is added.
    pub fn new(name: &str, groups: &[&str]) -> UserInfo {
        let mut groups: Vec<String> = groups.iter().map(|g| (*g).to_string()).collect();
        groups.push("system:authenticated".into());
        UserInfo { name: name.into(), groups, ..UserInfo::default() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patch {
    Json,
    Merge,
    Strategic,
    Apply,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    Patch(Patch),
    Delete,
    DeleteCollection,
}

impl Verb {
    /// The verb's name in RBAC rules and audit.
    pub fn as_str(self) -> &'static str {
        match self {
            Verb::Get => "get",
            Verb::List => "list",
            Verb::Watch => "watch",
            Verb::Create => "create",
            Verb::Update => "update",
            Verb::Patch(_) => "patch",
            Verb::Delete => "delete",
            Verb::DeleteCollection => "deletecollection",
        }
    }
}

/// The options of all verbs together (ListOptions, CreateOptions, …): each verb reads its own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    pub label_selector: String,
    pub field_selector: String,
    pub limit: u64,
    pub continue_token: String,
    pub resource_version: String,
    pub resource_version_match: String,
    pub allow_watch_bookmarks: bool,
    /// `sendInitialEvents`; `None` where the client did not say.
    pub send_initial_events: Option<bool>,
    pub timeout_seconds: Option<u64>,
    /// `["All"]` for a dry run.
    pub dry_run: Vec<String>,
    pub field_manager: String,
    /// `Ignore`, `Warn`, `Strict` or empty for the default.
    pub field_validation: String,
    pub force: Option<bool>,
    pub grace_period_seconds: Option<i64>,
    pub propagation_policy: Option<String>,
    pub orphan_dependents: Option<bool>,
    pub precondition_uid: Option<String>,
    pub precondition_resource_version: Option<String>,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Request {
    pub verb: Verb,
    pub resource: GroupVersionResource,
    /// Empty for cluster-scoped resources and for requests across namespaces.
    pub namespace: String,
    /// Empty for collections.
    pub name: String,
    /// Empty for the object itself.
    pub subresource: String,
    /// Object, patch or subresource body.
    pub body: Option<Value>,
    pub options: Options,
    /// Names the field manager of a write where `options.field_manager` is empty.
    pub user_agent: String,
}

/// The answer to anything but a watch.
#[derive(Clone, Debug)]
pub struct Response {
    /// 200, 201 (created) or 202.
    pub code: u16,
    pub object: Object,
    /// Texts of `Warning` headers.
    pub warnings: Vec<String>,
}

/// What a list answers.
#[derive(Clone, Debug, Default)]
pub struct List {
    pub items: Vec<Object>,
    pub resource_version: u64,
    /// Empty on the last page.
    pub continue_token: String,
    pub remaining: Option<u64>,
}

#[derive(Clone, Debug)]
pub enum WatchEvent {
    Added(Object),
    Modified(Object),
    Deleted(Object),
    /// Progress: nothing up to this revision was missed. `initial_end` marks the end of the
    /// synthetic ADDED events of a streaming list (KEP-3157).
    Bookmark {
        resource_version: u64,
        initial_end: bool,
    },
    /// The watch ends with this Status, `Expired` above all.
    Error(Box<Status>),
}

pub type WatchStream = Pin<Box<dyn Stream<Item = WatchEvent> + Send>>;

/// An API server, seen by one user.
pub trait Transport: Send + Sync {
    /// Get, create, update, patch, delete.
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Response, Box<Status>>>;

    fn list(&self, request: Request) -> BoxFuture<'_, Result<List, Box<Status>>>;

    fn watch(&self, request: Request) -> BoxFuture<'_, Result<WatchStream, Box<Status>>>;
}
