//! What every namespace has and loses: its default ServiceAccount and root CA ConfigMap, and, when
//! it is deleted, its content.

use std::time::Duration;

use apimachinery::status::Reason;
use apimachinery::{GroupVersionResource, meta};
use client::{Cache, Change, Client, Options, Queue, Reflector};
use controllers::namespace::{Action, Content, FINALIZER};
use controllers::{namespace, root_ca, service_account};
use env::Env;
use serde_json::{Value, json};

/// Between looks at a namespace whose objects are going away: their going is not watched.
const CONTENT_STEP: Duration = Duration::from_millis(100);

/// One identity per concern.
pub struct Clients {
    pub content: Client,
    pub accounts: Client,
    pub bundles: Client,
}

struct Namespaces {
    clients: Clients,
    namespaces: Cache,
    accounts: Cache,
    bundles: Cache,
    ca_pem: String,
}

pub async fn run(env: Env, informers: Client, clients: Clients, ca_pem: String) {
    let only = |name: &str| Options { field_selector: format!("metadata.name={name}"), ..Options::default() };
    let namespaces = informers.resource("", "v1", "namespaces");
    let mut namespaces = Reflector::start(&env, namespaces, "", Options::default());
    let accounts = informers.resource("", "v1", "serviceaccounts");
    let mut accounts = Reflector::start(&env, accounts, "", only(service_account::NAME));
    let bundles = informers.resource("", "v1", "configmaps");
    let mut bundles = Reflector::start(&env, bundles, "", only(root_ca::NAME));
    let queue: Queue<String> = Queue::new();
    let controller = Namespaces {
        clients,
        namespaces: namespaces.cache.clone(),
        accounts: accounts.cache.clone(),
        bundles: bundles.cache.clone(),
        ca_pem,
    };
    namespaces.wait_synced().await;
    accounts.wait_synced().await;
    bundles.wait_synced().await;
    let worker_queue = queue.clone();
    env.spawn(async move {
        while let Some(name) = worker_queue.next().await {
            match controller.sync(&name).await {
                Ok(None) => worker_queue.forget(&name),
                Ok(Some(again)) => worker_queue.add_after(name.clone(), again),
                Err(status) => {
                    tracing::debug!(namespace = name, %status, "namespace not in order yet");
                    worker_queue.add_rate_limited(name.clone());
                }
            }
            worker_queue.done(&name);
        }
    });
    loop {
        let (change, by_namespace) = tokio::select! {
            biased;
            change = namespaces.changes.recv() => (change, false),
            change = accounts.changes.recv() => (change, true),
            change = bundles.changes.recv() => (change, true),
        };
        let object = match change {
            Some(Change::Set { new, .. }) => new,
            Some(Change::Gone(object)) => object,
            Some(Change::Synced) => continue,
            None => return,
        };
        queue.add(if by_namespace { meta::namespace(&object) } else { meta::name(&object) }.to_string());
    }
}

impl Namespaces {
    /// Brings one namespace in order; when to look again.
    async fn sync(&self, name: &str) -> client::Result<Option<Duration>> {
        let Some(object) = self.namespaces.get("", name) else { return Ok(None) };
        if meta::is_deleting(&object) {
            return self.delete_content(name, &object).await;
        }
        if let Some(account) =
            service_account::plan(&object, self.accounts.get(name, service_account::NAME).as_deref())
        {
            ignore_existing(
                self.clients.accounts.resource("", "v1", "serviceaccounts").create(name, account).await,
            )?;
        }
        let bundles = self.clients.bundles.resource("", "v1", "configmaps");
        match root_ca::plan(&object, self.bundles.get(name, root_ca::NAME).as_deref(), &self.ca_pem) {
            Some(root_ca::Action::Create(bundle)) => ignore_existing(bundles.create(name, bundle).await)?,
            Some(root_ca::Action::Update(bundle)) => {
                bundles.update(name, root_ca::NAME, "", bundle).await?;
            }
            None => {}
        }
        Ok(None)
    }

    async fn delete_content(&self, name: &str, object: &Value) -> client::Result<Option<Duration>> {
        let content = self.content(name).await?;
        let namespaces = self.clients.content.resource("", "v1", "namespaces");
        let mut again = None;
        for action in namespace::plan(object, &content) {
            match action {
                Action::SetTerminating => {
                    let mut fresh = object.clone();
                    fresh["status"]["phase"] = json!("Terminating");
                    namespaces.update("", name, "status", fresh).await?;
                    // The write brings the namespace back through the watch.
                    return Ok(None);
                }
                Action::DeletePods => {
                    self.clients.content.pods().delete_collection(name, Options::default()).await?;
                }
                Action::DeleteContent(resources) => {
                    for resource in resources {
                        self.delete_all(name, &resource).await?;
                    }
                }
                Action::Wait => again = Some(CONTENT_STEP),
                Action::Finalize => {
                    let mut fresh = object.clone();
                    if let Some(finalizers) = fresh["spec"]["finalizers"].as_array_mut() {
                        finalizers.retain(|f| f != FINALIZER);
                    }
                    match namespaces.update("", name, "finalize", fresh).await {
                        Err(status) if !status.is(Reason::NotFound) => return Err(status),
                        _ => {}
                    }
                }
            }
        }
        Ok(again)
    }

    /// How much of every namespaced resource there is.
    async fn content(&self, name: &str) -> client::Result<Content> {
        let mut content = Content::new();
        for gvr in self.deletable().await? {
            let resource = self.clients.content.resource(&gvr.group, &gvr.version, &gvr.resource);
            match resource.list(name, Options { limit: 1, ..Options::default() }).await {
                Ok(list) => content.push((title(&gvr), list.items.len())),
                // Its definition has gone in the meantime.
                Err(status) if status.is(Reason::NotFound) => {}
                Err(status) => return Err(status),
            }
        }
        Ok(content)
    }

    async fn delete_all(&self, name: &str, wanted: &str) -> client::Result<()> {
        for gvr in self.deletable().await?.into_iter().filter(|gvr| title(gvr) == wanted) {
            let resource = self.clients.content.resource(&gvr.group, &gvr.version, &gvr.resource);
            match resource.delete_collection(name, Options::default()).await {
                Err(status) if !status.is(Reason::NotFound) => return Err(status),
                _ => {}
            }
        }
        Ok(())
    }

    /// Namespaced resources, each in one version: the built-in ones and those of definitions.
    async fn deletable(&self) -> client::Result<Vec<GroupVersionResource>> {
        let mut all: Vec<GroupVersionResource> = built_in().map(api::ResourceInfo::gvr).collect();
        let definitions =
            self.clients.content.resource("apiextensions.k8s.io", "v1", "customresourcedefinitions");
        for object in definitions.list("", Options::default()).await?.items {
            let Some(definition) = custom::Definition::read(&object).filter(|d| d.established) else {
                continue;
            };
            let served = definition.served().find(|version| version.info.namespaced);
            all.extend(served.map(|version| version.info.gvr()));
        }
        Ok(all)
    }
}

fn title(gvr: &GroupVersionResource) -> String {
    format!("{}/{}", gvr.api_version(), gvr.resource)
}

/// Built-in namespaced resources, each in one version.
fn built_in() -> impl Iterator<Item = &'static api::ResourceInfo> {
    api::resources().iter().filter(|info| {
        info.namespaced
            && info.served_by_default
            && info.has_verb("deletecollection")
            && info.storage_prefix.is_some()
            // The other view of core Events.
            && info.group != "events.k8s.io"
            && api::preferred(info.group, info.resource).is_some_and(|p| p.version == info.version)
    })
}

fn ignore_existing<T>(result: client::Result<T>) -> client::Result<()> {
    match result {
        Err(status) if status.is(Reason::AlreadyExists) => Ok(()),
        Err(status) => Err(status),
        Ok(_) => Ok(()),
    }
}
