//! One request on its way through the server: who asks what, and what was learnt so far.

use crate::resources::Target;
use apimachinery::{Status, Time};
use client::{Options, Request, UserInfo, Verb};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use store::Entry;

pub(crate) type Result<T> = std::result::Result<T, Box<Status>>;

/// A request with its user. Warnings are collected for the answer.
pub(crate) struct Call {
    pub user: UserInfo,
    pub request: Request,
    pub warnings: Vec<String>,
    /// What webhooks and policies note about the request, for whoever audits.
    pub annotations: BTreeMap<String, String>,
    /// The moment the request came in; everything it writes carries this time.
    pub now: Time,
}

impl Call {
    pub fn options(&self) -> &Options {
        &self.request.options
    }

    pub fn dry_run(&self) -> bool {
        !self.request.options.dry_run.is_empty()
    }

    pub fn verb(&self) -> Verb {
        self.request.verb
    }

    /// Takes the body; a missing one is the client's mistake.
    pub fn take_body(&mut self) -> Result<Value> {
        let body = self.request.body.take();
        body.ok_or_else(|| Box::new(Status::bad_request("the request body is empty")))
    }

    /// The same user asking for something else on the way (legacy paths, collection deletes).
    pub fn derive(&self, request: Request) -> Call {
        Call {
            user: self.user.clone(),
            request,
            warnings: Vec::new(),
            annotations: BTreeMap::new(),
            now: self.now,
        }
    }

    /// Notes something once; what was noted before under the same key stays.
    pub fn annotate(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.annotations.entry(key.into()).or_insert_with(|| value.into());
    }

    pub fn warn(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.warnings.contains(&text) {
            self.warnings.push(text);
        }
    }
}

/// What an answer is made of; bytes that are stored are not parsed just to be sent.
pub(crate) enum Body {
    Stored(Target, Arc<Entry>),
    /// The stored object with another resourceVersion (the last state of a deleted object).
    StoredAt(Target, Arc<Entry>, u64),
    Tree(Arc<Value>),
}

impl Body {
    pub fn object(value: Value) -> Body {
        Body::Tree(Arc::new(value))
    }

    pub fn tree(&self) -> Arc<Value> {
        match self {
            Body::Stored(target, entry) => target.tree(entry),
            Body::StoredAt(target, entry, revision) => {
                let mut object = (*target.tree(entry)).clone();
                apimachinery::meta::set_resource_version(&mut object, Some(*revision));
                Arc::new(object)
            }
            Body::Tree(value) => value.clone(),
        }
    }

    pub fn json(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Body::Stored(target, entry) => target.write_json(entry, entry.mod_revision, &mut out),
            Body::StoredAt(target, entry, revision) => target.write_json(entry, *revision, &mut out),
            Body::Tree(value) => out = crate::codec::to_json(value),
        }
        out
    }
}

/// The answer to anything but lists and watches.
pub(crate) struct Answer {
    pub code: u16,
    pub body: Body,
}

impl Answer {
    pub fn ok(body: Body) -> Answer {
        Answer { code: 200, body }
    }

    pub fn created(body: Body) -> Answer {
        Answer { code: 201, body }
    }
}
