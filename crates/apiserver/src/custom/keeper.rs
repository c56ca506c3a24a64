//! Keeps the status of definitions: accepts names, establishes resources, and empties those whose definition is
//! deleted. What to do is decided in [`custom::status`]; here it is carried out, whenever a definition or an
//! object of an ending resource changes.

use super::catalog::{definitions, definitions_prefix};
use crate::context::{Call, Result};
use crate::handlers::deletecollection;
use crate::registry::Place;
use crate::resources::Target;
use crate::server::Server;
use apimachinery::{Reason, Status, meta};
use client::{Options, Request, Verb};
use custom::status::{self, Ending};
use futures_util::future::{FutureExt, select_all};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use store::Watcher;
use tokio::sync::watch;

/// Until what failed is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Runs as long as the server.
pub(crate) async fn run(server: Arc<Server>) {
    let mut keeper = Keeper { server, settled: HashMap::new() };
    let mut watcher: Option<Watcher> = None;
    loop {
        let round = keeper.round().await;
        if watcher.is_none() {
            watcher = keeper.server.store.watch(&definitions_prefix(), round.revision).ok();
        }
        let retry = round.failed || watcher.is_none();
        let news = async {
            match &mut watcher {
                Some(watcher) => watcher.next().await.is_ok(),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            good = news => if !good { watcher = None },
            () = any(round.ending) => {}
            () = tokio::time::sleep(RETRY), if retry => {}
        }
    }
}

/// The first of these changes; none never comes.
async fn any(changes: Vec<watch::Receiver<u64>>) {
    if changes.is_empty() {
        return std::future::pending().await;
    }
    let waits = changes
        .into_iter()
        .map(|mut change| async move { change.changed().await.unwrap_or_default() }.boxed());
    select_all(waits).await;
}

/// What a look at all definitions gave.
#[derive(Default)]
struct Round {
    revision: u64,
    failed: bool,
    /// Tells when objects of resources that are going change.
    ending: Vec<watch::Receiver<u64>>,
}

struct Keeper {
    server: Arc<Server>,
    /// The revision at which nothing was to be done for a definition.
    settled: HashMap<String, u64>,
}

impl Keeper {
    async fn round(&mut self) -> Round {
        // Whoever watches a resource learns from this that its definition has changed.
        let _served = self.server.custom.served();
        let snapshot = self.server.store.list(&definitions_prefix());
        let mut round = Round { revision: snapshot.revision, ..Round::default() };
        let trees: Vec<Arc<Value>> = snapshot.iter().map(|entry| crate::codec::tree(entry)).collect();
        let all: Vec<&Value> = trees.iter().map(|tree| &**tree).collect();
        let there: Vec<&str> = all.iter().map(|object| meta::name(object)).collect();
        self.settled.retain(|name, _| there.contains(&name.as_str()));
        for object in &all {
            let (name, revision) = (meta::name(object), meta::resource_version(object).unwrap_or_default());
            let waits = meta::is_deleting(object) || !custom::is_true(object, "NamesAccepted");
            if !waits && self.settled.get(name) == Some(&revision) {
                continue;
            }
            match self.keep(object, &all, &mut round).await {
                Ok(()) => {
                    self.settled.insert(name.to_owned(), revision);
                }
                // It changed, which is news; or it is gone.
                Err(status) if status.is(Reason::Conflict) || status.is(Reason::NotFound) => {}
                Err(status) => {
                    tracing::error!(name, "a custom resource definition could not be kept: {status}");
                    round.failed = true;
                }
            }
        }
        round
    }

    async fn keep(&self, object: &Value, all: &[&Value], round: &mut Round) -> Result<()> {
        let now = self.server.now();
        if custom::Definition::read(object).is_none() {
            let name = meta::name(object);
            tracing::error!(name, "a definition is not served: there are more than {} names", api::MAX_NAMES);
            return Ok(());
        }
        if status::plan(object, all, now).is_some() {
            return self.write(object, |fresh| status::plan(fresh, all, now)).await;
        }
        if !meta::is_deleting(object) {
            return Ok(());
        }
        let Some(target) = self.server.custom.served().stored(meta::name(object)) else { return Ok(()) };
        // Listening starts before counting, so that nothing is missed.
        let changes = self.server.store.changes(&target.prefix(""));
        let count = self.server.store.list(&target.prefix("")).iter().count();
        match status::end(object, count, now) {
            Ending::None => {}
            Ending::Tell(_) => {
                let told = |fresh: &Value| match status::end(fresh, count, now) {
                    Ending::Tell(new) => Some(new),
                    _ => None,
                };
                self.write(object, told).await?;
            }
            Ending::DeleteObjects => {
                self.delete_all(&target).await?;
                round.ending.push(changes);
            }
            Ending::Finish(_) => {
                let finished = |fresh: &Value| match status::end(fresh, count, now) {
                    Ending::Finish(new) => Some(new),
                    _ => None,
                };
                self.write(object, finished).await?;
            }
        }
        Ok(())
    }

    fn call(&self, verb: Verb, target: &Target, name: &str) -> Call {
        let user = crate::bootstrap::loopback_user();
        let request = Request {
            verb,
            resource: target.info.gvr(),
            namespace: String::new(),
            name: name.to_owned(),
            subresource: String::new(),
            body: None,
            options: Options::default(),
            user_agent: crate::fields::SERVER.into(),
        };
        self.server.call(user, request)
    }

    /// Writes a status; what `change` leaves alone is not written.
    async fn write(
        &self,
        object: &Value,
        change: impl Fn(&Value) -> Option<Value> + Send + Sync,
    ) -> Result<()> {
        let target = definitions();
        let place = Place::new(&target, "", meta::name(object));
        let mut call = self.call(Verb::Update, &target, meta::name(object));
        let uid = meta::uid(object).to_owned();
        let changed = self.server.modify(&mut call, &place, "status", |_, fresh| {
            if meta::uid(fresh) != uid {
                return Err(Box::new(Status::not_found(&place.target.group_resource(), &place.name)));
            }
            Ok(change(fresh).unwrap_or_else(|| (**fresh).clone()))
        });
        changed.await.map(|_| ())
    }

    async fn delete_all(&self, target: &Target) -> Result<()> {
        let mut call = self.call(Verb::DeleteCollection, target, "");
        deletecollection::delete_collection(&self.server, &mut call, target).await.map(|_| ())
    }
}
