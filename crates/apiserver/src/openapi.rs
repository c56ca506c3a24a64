//! `/openapi/v2` and `/openapi/v3`: the schema table as OpenAPI documents.

use crate::context::Result;
use crate::http::respond::ResponseBody;
use crate::http::service::Incoming1;
use http::Response;

/// `None` for paths that are not ours.
pub(crate) fn respond(_incoming: &Incoming1) -> Option<Result<Response<ResponseBody>>> {
    None
}
