//! The client that everybody uses: one method per verb over a [`Transport`].

use std::sync::Arc;

use apimachinery::gvk::GroupVersionResource;
use apimachinery::status::{Reason, Status};
use serde_json::Value;

use crate::seam::{List, Object, Options, Patch, Request, Transport, Verb, WatchStream};

/// Cheap to clone.
#[derive(Clone)]
pub struct Client {
    transport: Arc<dyn Transport>,
    user_agent: Arc<str>,
}

pub type Result<T> = std::result::Result<T, Box<Status>>;

impl Client {
    /// `user_agent` is the component's name: `kubelet`, `kube-scheduler`.
    pub fn new(transport: Arc<dyn Transport>, user_agent: &str) -> Client {
        Client { transport, user_agent: user_agent.into() }
    }

    /// One kind of resource; `namespace` is empty for cluster scope or all namespaces.
    pub fn resource(&self, group: &str, version: &str, resource: &str) -> Resource {
        let gvr = GroupVersionResource::new(group, version, resource);
        Resource { client: self.clone(), gvr, options: Options::default() }
    }

    pub fn pods(&self) -> Resource {
        self.resource("", "v1", "pods")
    }

    pub fn nodes(&self) -> Resource {
        self.resource("", "v1", "nodes")
    }

    /// For requests that the helpers below do not word.
    pub fn transport(&self) -> &Arc<dyn Transport> {
        &self.transport
    }
}

/// The verbs on one resource.
#[derive(Clone)]
pub struct Resource {
    client: Client,
    gvr: GroupVersionResource,
    /// Of requests that take none of their own.
    options: Options,
}

impl Resource {
    /// Writes are refused if the body has fields that the kind has not, or one twice.
    pub fn strict(mut self) -> Resource {
        self.options.field_validation = "Strict".into();
        self
    }

    pub fn gvr(&self) -> &GroupVersionResource {
        &self.gvr
    }

    pub fn request(&self, verb: Verb, namespace: &str, name: &str) -> Request {
        Request {
            verb,
            resource: self.gvr.clone(),
            namespace: namespace.into(),
            name: name.into(),
            subresource: String::new(),
            body: None,
            options: self.options.clone(),
            user_agent: self.client.user_agent.to_string(),
        }
    }

    async fn call(&self, request: Request) -> Result<Object> {
        Ok(self.client.transport.call(request).await?.object)
    }

    pub async fn get(&self, namespace: &str, name: &str) -> Result<Object> {
        self.call(self.request(Verb::Get, namespace, name)).await
    }

    /// `None` where the object does not exist.
    pub async fn get_opt(&self, namespace: &str, name: &str) -> Result<Option<Object>> {
        match self.get(namespace, name).await {
            Ok(object) => Ok(Some(object)),
            Err(status) if status.is(Reason::NotFound) => Ok(None),
            Err(status) => Err(status),
        }
    }

    pub async fn create(&self, namespace: &str, object: Value) -> Result<Object> {
        let mut request = self.request(Verb::Create, namespace, "");
        request.body = Some(object);
        self.call(request).await
    }

    /// POST to a subresource: binding, eviction, token.
    pub async fn create_sub(
        &self,
        namespace: &str,
        name: &str,
        subresource: &str,
        body: Value,
    ) -> Result<Object> {
        let mut request = self.request(Verb::Create, namespace, name);
        request.subresource = subresource.into();
        request.body = Some(body);
        self.call(request).await
    }

    /// PUT; the object's own resourceVersion is the precondition.
    pub async fn update(
        &self,
        namespace: &str,
        name: &str,
        subresource: &str,
        object: Value,
    ) -> Result<Object> {
        let mut request = self.request(Verb::Update, namespace, name);
        request.subresource = subresource.into();
        request.body = Some(object);
        self.call(request).await
    }

    pub async fn patch(
        &self,
        kind: Patch,
        namespace: &str,
        name: &str,
        subresource: &str,
        patch: Value,
    ) -> Result<Object> {
        let mut request = self.request(Verb::Patch(kind), namespace, name);
        request.subresource = subresource.into();
        request.body = Some(patch);
        self.call(request).await
    }

    pub async fn delete(&self, namespace: &str, name: &str, options: Options) -> Result<Object> {
        let mut request = self.request(Verb::Delete, namespace, name);
        request.options = options;
        self.call(request).await
    }

    pub async fn delete_collection(&self, namespace: &str, options: Options) -> Result<Object> {
        let mut request = self.request(Verb::DeleteCollection, namespace, "");
        request.options = options;
        self.call(request).await
    }

    pub async fn list(&self, namespace: &str, options: Options) -> Result<List> {
        let mut request = self.request(Verb::List, namespace, "");
        request.options = options;
        self.client.transport.list(request).await
    }

    pub async fn watch(&self, namespace: &str, options: Options) -> Result<WatchStream> {
        let mut request = self.request(Verb::Watch, namespace, "");
        request.options = options;
        self.client.transport.watch(request).await
    }
}
