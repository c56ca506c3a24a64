//! The server's core: one path for every typed request, whoever brings it: authorization, flow control,
//! then the verb's handler.

use crate::authn::Authn;
use crate::authz::{Attributes, Authorizer};
use crate::config::Config;
use crate::context::{Answer, Body, Call, Result};
use crate::custom::{self, Catalog};
use crate::flow::Flow;
use crate::handlers::list::Listed;
use crate::handlers::watch::Watch;
use crate::handlers::{create, delete, deletecollection, get, list, patch, update, watch};
use crate::metrics::Metrics;
use crate::openapi::Documents;
use crate::registry::{Place, store_status};
use crate::resources::Target;
use crate::{reviews, subresources};
use apimachinery::{Status, Time, meta};
use client::{List, Request, Response, Transport, UserInfo, Verb, WatchStream};
use env::Env;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use store::Store;

pub(crate) struct Server {
    /// Itself, for what outlives a borrow.
    pub me: std::sync::Weak<Server>,
    pub dynamic: crate::admission::Dynamic,
    pub store: Arc<Store>,
    pub env: Env,
    pub config: Config,
    pub authn: Authn,
    pub authz: Authorizer,
    pub flow: Flow,
    pub metrics: Metrics,
    /// Held by a write that a quota limits.
    pub quota: Arc<tokio::sync::Mutex<()>>,
    pub custom: Catalog,
    pub openapi: Documents,
}

/// The answer to a request of any verb.
pub(crate) enum Reply {
    Answer(Answer),
    List(Box<Listed>),
    Watch(Box<Watch>),
}

impl Server {
    pub fn now(&self) -> Time {
        Time(self.env.now())
    }

    pub fn call(&self, user: UserInfo, request: Request) -> Call {
        Call { user, request, warnings: Vec::new(), annotations: BTreeMap::new(), now: self.now() }
    }

    /// Serves a typed request for its user.
    pub async fn serve(self: &Arc<Self>, call: &mut Call) -> Result<Reply> {
        let target = Target::find(self, &call.request.resource)
            .ok_or_else(|| Box::new(Status::resource_not_found()))?;
        self.authz.authorize(self, &Attributes::of(call))?;
        let _room = self.flow.enter(&call.user, call.verb())?;
        // What admission looks at may have been written by another server just now; other writes read
        // their object anyway.
        if call.verb() == Verb::Create && self.store.shared() {
            let place = Place::new(&target, &call.request.namespace, &call.request.name);
            self.store.consistent().await.map_err(|error| store_status(&place, &error))?;
        }
        let started = self.env.instant();
        let (verb, resource) = (call.verb().as_str(), target.info.resource);
        // A panic in a handler is that request's error and nobody else's.
        let served = AssertUnwindSafe(self.dispatch(call, &target)).catch_unwind().await;
        let reply = served.unwrap_or_else(|panic| {
            let text = panic_text(&*panic);
            tracing::error!(verb, resource, "a handler panicked: {text}");
            Err(Box::new(Status::internal(
                "this request caused the apiserver to panic. Look in the logs for details.",
            )))
        });
        let code = match &reply {
            Ok(Reply::Answer(answer)) => answer.code,
            Ok(_) => 200,
            Err(status) => status.code,
        };
        self.metrics.request(verb, resource, code, started.elapsed());
        // Until there is an audit log.
        for (key, value) in call.annotations.iter().filter(|(key, _)| !key.starts_with("mutation.webhook.")) {
            let (user, name) = (&call.user.name, &call.request.name);
            tracing::info!(verb, resource, name, user, "audit annotation {key}: {value}");
        }
        reply
    }

    async fn dispatch(self: &Arc<Self>, call: &mut Call, target: &Target) -> Result<Reply> {
        check_path(call, target)?;
        crate::options::check(call)?;
        custom::greet(call, target);
        if !call.request.subresource.is_empty() {
            return subresources::serve(self, call, target).await.map(Reply::Answer);
        }
        if target.info.storage_prefix.is_none() {
            return reviews::serve(self, call, target).await.map(Reply::Answer);
        }
        let supported = match call.verb() {
            Verb::Patch(_) => target.info.has_verb("patch"),
            verb => target.info.has_verb(verb.as_str()),
        };
        if !supported {
            return Err(Box::new(Status::method_not_allowed()));
        }
        Ok(match call.verb() {
            Verb::Get => Reply::Answer(get::get(self, call, target).await?),
            Verb::List => Reply::List(Box::new(list::list(self, call, target).await?)),
            Verb::Watch => Reply::Watch(Box::new(watch::watch(self, call, target).await?)),
            Verb::Create => Reply::Answer(create::create(self, call, target).await?),
            Verb::Update => Reply::Answer(update::update(self, call, target).await?),
            Verb::Patch(_) => Reply::Answer(patch::patch(self, call, target).await?),
            Verb::Delete => Reply::Answer(delete::delete(self, call, target).await?),
            Verb::DeleteCollection => {
                Reply::List(Box::new(deletecollection::delete_collection(self, call, target).await?))
            }
        })
    }
}

/// Names and namespaces that cannot be part of a path, whoever made the request.
fn check_path(call: &Call, target: &Target) -> Result<()> {
    let request = &call.request;
    let needs_name = matches!(call.verb(), Verb::Get | Verb::Update | Verb::Patch(_) | Verb::Delete);
    let bad = |text: &str| Err(Box::new(Status::bad_request(text)));
    if needs_name && request.name.is_empty() {
        return bad("name must be provided");
    }
    if [&request.name, &request.namespace]
        .iter()
        .any(|part| part.contains('/') || *part == "." || *part == "..")
    {
        return bad("a name may not contain '/' or be '.' or '..'");
    }
    let collection = matches!(call.verb(), Verb::List | Verb::Watch | Verb::DeleteCollection);
    if target.info.namespaced && request.namespace.is_empty() && !collection {
        return bad("an empty namespace may not be set when a resource name is provided");
    }
    if !target.info.namespaced && !request.namespace.is_empty() {
        return Err(Box::new(Status::resource_not_found()));
    }
    Ok(())
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    match (panic.downcast_ref::<String>(), panic.downcast_ref::<&str>()) {
        (Some(text), _) => text,
        (None, Some(text)) => text,
        (None, None) => "of unknown cause",
    }
}

impl Listed {
    /// The list as one object.
    pub fn to_value(&self) -> serde_json::Value {
        let items: Vec<_> = self.entries.iter().map(|entry| (*self.target.tree(entry)).clone()).collect();
        serde_json::json!({
            "kind": format!("{}List", self.target.info.kind),
            "apiVersion": self.target.info.api_version(),
            "metadata": {"resourceVersion": self.revision.to_string()},
            "items": items,
        })
    }
}

/// The in-process transport: one user, fixed at the composition root.
pub(crate) struct Local {
    pub server: Arc<Server>,
    pub user: UserInfo,
}

impl Transport for Local {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Response>> {
        Box::pin(async move {
            let mut call = self.server.call(self.user.clone(), request);
            settle_body(&self.server, &mut call)?;
            let reply = self.server.serve(&mut call).await?;
            let warnings = std::mem::take(&mut call.warnings);
            match reply {
                Reply::Answer(Answer { code, body }) => Ok(Response { code, object: body.tree(), warnings }),
                Reply::List(listed) => {
                    Ok(Response { code: 200, object: Body::object(listed.to_value()).tree(), warnings })
                }
                Reply::Watch(_) => Err(Box::new(Status::bad_request("a watch is not a call"))),
            }
        })
    }

    fn list(&self, request: Request) -> BoxFuture<'_, Result<List>> {
        Box::pin(async move {
            let mut call = self.server.call(self.user.clone(), request);
            match self.server.serve(&mut call).await? {
                Reply::List(listed) => Ok(List {
                    items: listed.entries.iter().map(|entry| listed.target.tree(entry)).collect(),
                    resource_version: listed.revision,
                    continue_token: listed.continue_token,
                    remaining: listed.remaining,
                }),
                _ => Err(Box::new(Status::bad_request("the request is not a list"))),
            }
        })
    }

    fn watch(&self, request: Request) -> BoxFuture<'_, Result<WatchStream>> {
        Box::pin(async move {
            let mut call = self.server.call(self.user.clone(), request);
            match self.server.serve(&mut call).await? {
                Reply::Watch(watch) => {
                    let stream = futures_util::stream::unfold(watch, |mut watch| async move {
                        let item = watch.next().await?;
                        Some((item.typed(&watch.target), watch))
                    });
                    Ok(Box::pin(stream) as WatchStream)
                }
                _ => Err(Box::new(Status::bad_request("the request is not a watch"))),
            }
        })
    }
}

/// Bodies from this process are checked against the schema like those that come as bytes; callers need
/// not repeat the kind that the request already names.
fn settle_body(server: &Server, call: &mut Call) -> Result<()> {
    if !matches!(call.verb(), Verb::Create | Verb::Update) {
        return Ok(());
    }
    let Some(target) = Target::find(server, &call.request.resource) else { return Ok(()) };
    let Some(kind) = body_kind(&target, &call.request.subresource) else { return Ok(()) };
    let validation = call.request.options.field_validation.clone();
    let Some(body) = call.request.body.as_mut() else { return Ok(()) };
    if meta::kind(body).is_empty() {
        meta::set_gvk(body, &kind);
    }
    if meta::gvk(body).as_ref() == Some(&kind) {
        for warning in crate::decode::check(&target, &kind, body, &validation)? {
            call.warn(warning);
        }
    }
    Ok(())
}

/// The kind that the body of a request should have.
pub(crate) fn body_kind(target: &Target, subresource: &str) -> Option<apimachinery::GroupVersionKind> {
    if subresource.is_empty() {
        return Some(target.info.gvk());
    }
    target.info.subresource(subresource).map(|subresource| subresource.kind.clone())
}
