//! `/debug/api_priority_and_fairness/*`: tables of levels, queues and requests.

use http::StatusCode;
use kuorum_fairness::Nanos;
use kuorum_fairness::dump::{self, Describe, Description};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Clock, Detail, Fairness};
use crate::layers::respond;
use crate::request::info::request_info;
use crate::request::query::{Query, unescape};
use crate::routes;
use crate::verbs::Response;

/// Where the tables are.
pub const DEBUG_PREFIX: &str = "/debug/api_priority_and_fairness/";

/// Answers a request for a table; 404 where there is none, as without priority and fairness.
pub fn debug(request: &routes::Request<'_>) -> Response {
    let path = request.info.path.trim_end_matches('/');
    let fairness = request.app.overload.fairness();
    fairness.and_then(|fairness| fairness.debug(path, request.query)).unwrap_or_else(respond::page_not_found)
}

impl Fairness {
    /// Answers a path below [`DEBUG_PREFIX`]; `None` if it leads nowhere.
    fn debug(&self, path: &str, query: &Query<'_>) -> Option<Response> {
        let text = match path.strip_prefix(DEBUG_PREFIX)? {
            "dump_priority_levels" => dump::priority_levels(&self.engine),
            "dump_queues" => dump::queues(&self.engine),
            "dump_requests" => {
                let details = !query.text("includeRequestDetails").is_empty();
                dump::requests(&self.engine, details, &|time| self.clock.date(time))
            }
            _ => return None,
        };
        Some(respond::bytes_of(StatusCode::OK, text, "text/plain; charset=utf-8"))
    }
}

impl Clock {
    /// As Go prints it: RFC 3339, with as many digits as the fraction has.
    fn date(&self, time: Nanos) -> String {
        let at = OffsetDateTime::from(self.started_at) + std::time::Duration::from_nanos(time);
        at.format(&Rfc3339).unwrap_or_default()
    }
}

impl Describe for Detail {
    fn describe(&self) -> Description {
        let path = unescape(self.uri.path(), false).unwrap_or_default();
        let query = Query::parse(self.uri.query().unwrap_or(""));
        let info = request_info(&self.method, &path, &query);
        let api_version = match (info.group, info.version) {
            ("", version) => version.to_owned(),
            (group, version) => format!("{group}/{version}"),
        };
        Description {
            user: self.user.name.clone(),
            verb: info.verb.to_owned(),
            path: path.to_string(),
            namespace: info.namespace.to_owned(),
            name: info.name.to_owned(),
            api_version,
            resource: info.resource.to_owned(),
            subresource: info.subresource.to_owned(),
        }
    }
}
