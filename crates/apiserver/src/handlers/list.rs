//! GET of a collection: selectors, pages, and what revision the answer shows.

use crate::context::{Call, Result};
use crate::registry::{Place, store_status};
use crate::resources::Target;
use crate::selectors::Selectors;
use crate::server::Server;
use apimachinery::{FieldError, GroupKind, Path, Status};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::sync::Arc;
use store::{Entry, Snapshot};

/// A list before it is written in some form.
pub(crate) struct Listed {
    pub target: Target,
    pub entries: Vec<Arc<Entry>>,
    pub revision: u64,
    pub continue_token: String,
    pub remaining: Option<u64>,
}

/// Where a page starts, and at which revision.
struct Page {
    /// `None`: a page of the newest state (an inconsistent continue).
    revision: Option<u64>,
    /// Relative to the list's prefix.
    start: String,
}

pub(crate) async fn list(server: &Server, call: &Call, target: &Target) -> Result<Listed> {
    check_options(call, false)?;
    let selectors = Selectors::of(call, target)?;
    let prefix = target.prefix(&call.request.namespace);
    let place = Place::new(target, &call.request.namespace, "");
    let page = parse_page(call)?;
    let snapshot = snapshot(server, call, &place, &prefix, page.as_ref()).await?;
    let start = page.map_or_else(String::new, |page| page.start);
    let limit = call.options().limit;
    if target.custom.as_ref().is_some_and(|custom| custom.converter.is_some()) && !selectors.is_everything() {
        // What an object is selected by may differ between versions.
        let all = snapshot.starting_at(&format!("{prefix}{start}")).cloned().collect();
        let all = server.present(target, all).await?;
        return Ok(collect(target, all.iter(), snapshot.revision, &prefix, limit, &selectors));
    }
    let from = format!("{prefix}{start}");
    let entries = snapshot.starting_at(&from);
    let mut listed = collect(target, entries, snapshot.revision, &prefix, limit, &selectors);
    server.present_list(&mut listed).await?;
    Ok(listed)
}

fn collect<'e>(
    target: &Target,
    entries: impl Iterator<Item = &'e Arc<Entry>>,
    revision: u64,
    prefix: &str,
    limit: u64,
    selectors: &Selectors,
) -> Listed {
    let limit = if limit == 0 { usize::MAX } else { usize::try_from(limit).unwrap_or(usize::MAX) };
    let mut rest = entries.peekable();
    let mut listed = Listed {
        target: target.clone(),
        entries: Vec::new(),
        revision,
        continue_token: String::new(),
        remaining: None,
    };
    while let Some(entry) = rest.peek() {
        if listed.entries.len() == limit {
            // Only when something is left is there a next page.
            let Some(last) = listed.entries.last() else { break };
            let next = format!("{}\0", &last.key[prefix.len()..]);
            listed.continue_token = token(revision, &next);
            listed.remaining = selectors.is_everything().then(|| rest.count() as u64);
            return listed;
        }
        if selectors.matches(target, entry) {
            listed.entries.push((*entry).clone());
        }
        rest.next();
    }
    listed
}

/// The state a list shows (the table "LIST semantics" of the API documentation).
async fn snapshot(
    server: &Server,
    call: &Call,
    place: &Place,
    prefix: &str,
    page: Option<&Page>,
) -> Result<Snapshot> {
    let failed = |error: store::Error| store_status(place, &error);
    if let Some(page) = page {
        let Some(revision) = page.revision else { return Ok(server.store.list(prefix)) };
        return server.store.list_at(prefix, revision).map_err(|error| match error {
            store::Error::Compacted { .. } => expired_page(server, &page.start),
            error => failed(error),
        });
    }
    let options = call.options();
    let exact = options.resource_version_match == "Exact"
        || options.resource_version_match.is_empty() && options.limit > 0;
    match super::get::parse_revision(&options.resource_version)? {
        None => {
            server.store.consistent().await.map_err(failed)?;
        }
        Some(0) => {}
        Some(revision) => {
            server.store.wait_for(revision).await.map_err(failed)?;
            if exact {
                return server.store.list_at(prefix, revision).map_err(failed);
            }
        }
    }
    Ok(server.store.list(prefix))
}

/// The answer to a continue token whose revision is gone: 410 with a token that goes on in the newest
/// state.
fn expired_page(server: &Server, start: &str) -> Box<Status> {
    let inconsistent = token_json(&json!(-1), start);
    let _revision_of_the_next_page = server.store.revision();
    Box::new(
        Status::expired(
            "The provided continue parameter is too old to display a consistent list result. You can start a new list \
             without the continue parameter, or use the continue token in this response to retrieve the remainder of \
             the results. Continuing with the provided token results in an inconsistent list - objects that were \
             created, modified, or deleted between the time the first chunk was returned and now may show up in the \
             list.",
        )
        .with_continue(inconsistent),
    )
}

fn token(revision: u64, start: &str) -> String {
    token_json(&json!(revision), start)
}

/// Upstream's token, also in its field order: `{"v":"meta.k8s.io/v1","rv":12,"start":"/name\u0000"}`.
fn token_json(revision: &Value, start: &str) -> String {
    let start = Value::String(format!("/{start}"));
    URL_SAFE_NO_PAD.encode(format!(r#"{{"v":"meta.k8s.io/v1","rv":{revision},"start":{start}}}"#))
}

fn parse_page(call: &Call) -> Result<Option<Page>> {
    let token = &call.options().continue_token;
    if token.is_empty() {
        return Ok(None);
    }
    if !matches!(call.options().resource_version.as_str(), "" | "0") {
        let text = "specifying resource version is not allowed when using continue";
        return Err(Box::new(Status::bad_request(text)));
    }
    let bad = |what: String| Box::new(Status::bad_request(format!("invalid continue token: {what}")));
    decode_page(token).map(Some).map_err(bad)
}

/// What a continue token says, or what is wrong with it.
fn decode_page(token: &str) -> std::result::Result<Page, String> {
    let bytes = URL_SAFE_NO_PAD.decode(token.trim_end_matches('='));
    let bytes = bytes.map_err(|_| "continue key is not valid: illegal base64 data")?;
    let value = schema::json_value(&bytes).map_err(|error| format!("continue key is not valid: {error}"))?;
    if value["v"] != "meta.k8s.io/v1" {
        let version = value["v"].as_str().unwrap_or_default();
        return Err(format!(
            "continue key is not valid: server does not recognize this encoded version {}",
            apimachinery::go::quote(version)
        ));
    }
    let start = value["start"].as_str().and_then(|start| start.strip_prefix('/')).unwrap_or_default();
    if start.is_empty() || start.contains("../") || start.contains("//") {
        return Err("continue key is not valid: incorrect encoded start resourceVersion".into());
    }
    Ok(Page { revision: value["rv"].as_u64().filter(|rv| *rv > 0), start: start.into() })
}

/// For fuzzing: any text, as a continue token.
pub(crate) fn read_token(token: &str) -> bool {
    decode_page(token).is_ok()
}

/// 422 for combinations of options that make no sense (ListOptions validation).
pub(crate) fn check_options(call: &Call, watch: bool) -> Result<()> {
    let options = call.options();
    let path = Path::new("resourceVersionMatch");
    let mode = options.resource_version_match.as_str();
    let mut errors = Vec::new();
    let mut forbid = |text: &str| errors.push(FieldError::forbidden(&path, text));
    if watch && options.send_initial_events.is_some() {
        if mode != "NotOlderThan" {
            forbid("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
        }
    } else if watch && !mode.is_empty() {
        forbid("resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
    } else if !watch {
        if options.send_initial_events.is_some() {
            let path = Path::new("sendInitialEvents");
            errors.push(FieldError::forbidden(&path, "sendInitialEvents is forbidden for list"));
        } else if !mode.is_empty() {
            if options.resource_version.is_empty() {
                forbid("resourceVersionMatch is forbidden unless resourceVersion is provided");
            }
            if !options.continue_token.is_empty() {
                forbid("resourceVersionMatch is forbidden when continue is provided");
            }
            if !matches!(mode, "Exact" | "NotOlderThan") {
                errors.push(FieldError::not_supported(&path, mode, &["Exact", "NotOlderThan", ""]));
            } else if mode == "Exact" && options.resource_version == "0" {
                errors.push(FieldError::forbidden(
                    &path,
                    "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
                ));
            }
        }
    }
    refuse_options("ListOptions", &errors)
}

/// 422 about an options object.
pub(crate) fn refuse_options(kind: &str, errors: &[FieldError]) -> Result<()> {
    if errors.is_empty() {
        return Ok(());
    }
    Err(Box::new(Status::invalid(&GroupKind::new("meta.k8s.io", kind), "", errors)))
}
