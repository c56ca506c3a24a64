//! Tells users of policies whether their expressions fit: see `controllers::policy_status`.

use apimachinery::meta;
use client::{Cache, Change, Client, Options, Patch, Queue, Reflector, Verb};
use controllers::policy_status::{MANAGER, plan};
use env::Env;

const RESOURCE: (&str, &str, &str) = ("admissionregistration.k8s.io", "v1", "validatingadmissionpolicies");

pub async fn run(env: Env, informers: Client, client: Client) {
    let (group, version, resource) = RESOURCE;
    let policies = informers.resource(group, version, resource);
    let mut policies = Reflector::start(&env, policies, "", Options::default());
    let queue: Queue<String> = Queue::new();
    let (worker_queue, cache) = (queue.clone(), policies.cache.clone());
    env.spawn(async move {
        while let Some(name) = worker_queue.next().await {
            match sync(&client, &cache, &name).await {
                Ok(()) => worker_queue.forget(&name),
                Err(status) => {
                    tracing::debug!(policy = name, %status, "status not written");
                    worker_queue.add_rate_limited(name.clone());
                }
            }
            worker_queue.done(&name);
        }
    });
    while let Some(change) = policies.changes.recv().await {
        if let Change::Set { new, .. } = change {
            queue.add(meta::name(&new).to_string());
        }
    }
    queue.shut_down();
}

async fn sync(client: &Client, cache: &Cache, name: &str) -> client::Result<()> {
    let Some(policy) = cache.get("", name) else { return Ok(()) };
    let Some(status) = plan(&policy) else { return Ok(()) };
    let (group, version, resource) = RESOURCE;
    let policies = client.resource(group, version, resource);
    let mut request = policies.request(Verb::Patch(Patch::Apply), "", name);
    request.subresource = "status".into();
    request.body = Some(status);
    request.options.field_manager = MANAGER.into();
    request.options.force = Some(true);
    client.transport().call(request).await.map(|_| ())
}
