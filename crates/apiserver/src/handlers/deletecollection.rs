//! DELETE of a collection: the selected objects, one by one, page by page.

use super::delete::{self, Reviewed};
use super::list;
use crate::context::{Call, Result};
use crate::limits;
use crate::resources::Target;
use crate::server::Server;
use apimachinery::{Reason, meta};
use client::Verb;

/// Answers the objects that were selected, as a list.
pub(crate) async fn delete_collection(
    server: &Server,
    call: &mut Call,
    target: &Target,
) -> Result<list::Listed> {
    delete::check_options(call.options())?;
    let mut asked = call.derive(call.request.clone());
    asked.request.verb = Verb::List;
    asked.request.options.dry_run.clear();
    if asked.request.options.limit == 0 {
        asked.request.options.limit = limits::DELETE_PAGE as u64;
    }
    let mut all: Option<list::Listed> = None;
    loop {
        let page = list::list(server, &asked, target).await?;
        for entry in &page.entries {
            let object = target.tree(entry);
            let mut request = call.request.clone();
            request.verb = Verb::Delete;
            request.namespace = meta::namespace(&object).into();
            request.name = meta::name(&object).into();
            request.options.precondition_uid = Some(meta::uid(&object).into());
            let mut one = call.derive(request);
            let deleted = delete::delete_reviewed(server, &mut one, target, Reviewed::InCollection).await;
            one.warnings.into_iter().for_each(|text| call.warn(text));
            one.annotations.into_iter().for_each(|(key, value)| call.annotate(key, value));
            match deleted {
                Ok(_) => {}
                Err(status) if status.is(Reason::NotFound) || status.is(Reason::Conflict) => {}
                Err(status) => return Err(status),
            }
        }
        let next = page.continue_token.clone();
        match &mut all {
            Some(all) => all.entries.extend(page.entries),
            None => all = Some(page),
        }
        if next.is_empty() || call.options().limit > 0 {
            break;
        }
        asked.request.options.continue_token = next;
        asked.request.options.resource_version.clear();
        asked.request.options.resource_version_match.clear();
    }
    let mut all = all.unwrap_or_else(|| unreachable!("the loop lists at least once"));
    all.continue_token.clear();
    all.remaining = None;
    Ok(all)
}
