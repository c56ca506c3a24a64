//! Subresources: parts of an object with rules of their own, and actions on it. What needs a connection
//! to the node (logs, exec, …) is not typed and lives in `http`.

mod binding;
mod eviction;
mod scale;
mod token;

use crate::context::{Answer, Call, Result};
use crate::handlers::{get, patch, update};
use crate::resources::Target;
use crate::server::Server;
use apimachinery::Status;
use client::Verb;

pub(crate) use binding::bind;
pub(crate) use scale::{scale_of, set_replicas};

pub(crate) async fn serve(server: &Server, call: &mut Call, target: &Target) -> Result<Answer> {
    let name = call.request.subresource.clone();
    let Some(info) = target.info.subresource(&name) else {
        return Err(Box::new(Status::resource_not_found()));
    };
    let verb = call.verb();
    if !info.verbs.contains(&verb.as_str()) {
        return Err(Box::new(Status::method_not_allowed()));
    }
    match (name.as_str(), verb) {
        ("binding", Verb::Create) => bind(server, call).await,
        ("eviction", Verb::Create) => eviction::evict(server, call, target).await,
        ("token", Verb::Create) => token::request(server, call, target).await,
        ("scale", _) => scale::serve(server, call, target).await,
        ("exec" | "attach" | "portforward" | "proxy" | "log", _) => {
            Err(Box::new(Status::bad_request("Upgrade request required")))
        }
        (_, Verb::Get) => get::get(server, call, target).await,
        (_, Verb::Update) => update::update(server, call, target).await,
        (_, Verb::Patch(_)) => patch::patch(server, call, target).await,
        _ => Err(Box::new(Status::method_not_allowed())),
    }
}
