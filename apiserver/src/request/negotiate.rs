//! Content negotiation: which representation an `Accept` header asks for.
//!
//! Two stages, as in kube-apiserver: the router accepts only `*/*` or a media type that it produces, spelled out
//! ([`Accept::routable`]); then the clause with the highest quality whose parameters can be served is chosen.

use http::HeaderMap;
use smallvec::SmallVec;

use crate::status::ApiError;

/// The bytes of a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    Json,
    Yaml,
    Protobuf,
}

impl Format {
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Json => "application/json",
            Format::Yaml => "application/yaml",
            Format::Protobuf => "application/vnd.kubernetes.protobuf",
        }
    }
}

/// In which shape an object or list is answered (`as=`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum View {
    #[default]
    Object,
    Table,
    PartialObjectMetadata,
    PartialObjectMetadataList,
}

/// What the client is answered with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accept {
    pub format: Format,
    pub view: View,
    /// The version of `meta.k8s.io` for a view: `v1` or `v1beta1`.
    pub view_version: &'static str,
    /// Whether JSON is indented for people (`?pretty`, or a browser, curl or Wget asks).
    pub pretty: bool,
}

/// Which views an endpoint can give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Views {
    /// Objects of a kind with metadata.
    All,
    /// Reviews: everything but a Table.
    NoTable,
    /// Discovery and the like: the document itself.
    None,
}

/// What the endpoints of objects produce.
pub const PRODUCES: &[&str] = &["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];
/// What list endpoints produce; the stream types are listed in a refusal.
pub const PRODUCES_LIST: &[&str] = &[
    "application/json",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
    "application/json;stream=watch",
    "application/vnd.kubernetes.protobuf;stream=watch",
];
const ONLY_ACCEPTED: &str = "only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf";

impl Accept {
    /// The first stage: 406 unless the header is absent, has `*/*`, or spells a produced type.
    pub fn routable(headers: &HeaderMap, produces: &[&str]) -> Result<(), ApiError> {
        let header = accept_text(headers);
        if header.is_empty() {
            return Ok(());
        }
        let matches = header.split(',').any(|part| {
            let media = part.split(';').next().unwrap_or("").trim();
            media == "*/*" || produces.contains(&media)
        });
        if matches {
            return Ok(());
        }
        let text = format!("406: Not Acceptable\n\nAvailable representations: {}", produces.join(", "));
        Err(ApiError::not_acceptable(text).with_details(Default::default()))
    }

    /// The second stage: the best clause that can be served.
    pub fn negotiate(headers: &HeaderMap, pretty: Option<&str>, views: Views) -> Result<Accept, ApiError> {
        let pretty = wants_pretty(headers, pretty);
        let header = accept_text(headers);
        if header.is_empty() || header == "application/json" || header == "*/*" {
            return Ok(Accept { pretty, ..Accept::default() });
        }
        let mut clauses: SmallVec<[Clause<'_>; 4]> = header.split(',').filter_map(Clause::parse).collect();
        if clauses.is_empty() {
            return Ok(Accept { pretty, ..Accept::default() });
        }
        // Stable: equal qualities stay in the order of the header.
        clauses.sort_by(|a, b| b.quality.total_cmp(&a.quality));
        for clause in &clauses {
            if let Some(accept) = clause.serve(views) {
                return Ok(Accept { pretty: accept.pretty || pretty, ..accept });
            }
        }
        Err(ApiError::not_acceptable(ONLY_ACCEPTED))
    }

    /// How a refusal is written where the request itself was not negotiated: never fails.
    pub fn for_errors(headers: &HeaderMap, pretty: Option<&str>) -> Accept {
        let accept = Self::negotiate(headers, pretty, Views::All).unwrap_or_default();
        Accept { view: View::Object, pretty: wants_pretty(headers, pretty), ..accept }
    }
}

fn accept_text(headers: &HeaderMap) -> &str {
    headers.get(http::header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or("").trim()
}

/// One clause of the header.
struct Clause<'a> {
    kind: &'a str,
    subtype: &'a str,
    quality: f32,
    params: SmallVec<[(&'a str, &'a str); 3]>,
}

impl<'a> Clause<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let media = parts.next()?;
        let (kind, subtype) = match media.split_once('/') {
            Some((kind, subtype)) => (kind.trim(), subtype.trim()),
            None if media == "*" => ("*", "*"),
            None => return None,
        };
        let mut clause = Clause { kind, subtype, quality: 1.0, params: SmallVec::new() };
        for part in parts {
            let Some((key, value)) = part.split_once('=') else { continue };
            match key.trim() {
                "q" => clause.quality = value.trim().parse().unwrap_or(1.0),
                key => clause.params.push((key, value.trim())),
            }
        }
        Some(clause)
    }

    /// The representation that this clause asks for, where it can be given.
    fn serve(&self, views: Views) -> Option<Accept> {
        let format = match (self.kind, self.subtype) {
            ("application", "json") | ("application", "*") | ("*", "*") => Format::Json,
            ("application", "yaml") => Format::Yaml,
            ("application", "vnd.kubernetes.protobuf") => Format::Protobuf,
            _ => return None,
        };
        let mut accept = Accept { format, ..Accept::default() };
        let (mut group, mut version, mut kind) = ("", "", "");
        for (key, value) in &self.params {
            match *key {
                "as" => kind = value,
                "g" => group = value,
                "v" => version = value,
                "pretty" => accept.pretty = *value == "1",
                _ => {}
            }
        }
        if kind.is_empty() && group.is_empty() && version.is_empty() {
            return Some(accept);
        }
        accept.view = match (kind, views) {
            (_, Views::None) => return None,
            // A Table has no protobuf form.
            ("Table", Views::All) if format != Format::Protobuf => View::Table,
            ("PartialObjectMetadata", _) => View::PartialObjectMetadata,
            ("PartialObjectMetadataList", _) => View::PartialObjectMetadataList,
            _ => return None,
        };
        accept.view_version = match (group, version) {
            ("meta.k8s.io", "v1") => "v1",
            ("meta.k8s.io", "v1beta1") => "v1beta1",
            _ => return None,
        };
        Some(accept)
    }
}

/// `?pretty` decides; without it a person's client does.
fn wants_pretty(headers: &HeaderMap, parameter: Option<&str>) -> bool {
    if let Some(value) = parameter.filter(|v| !v.is_empty()) {
        // As strconv.ParseBool reads it.
        return matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True");
    }
    let agent = headers.get(http::header::USER_AGENT).map(|v| v.as_bytes()).unwrap_or(b"");
    agent.starts_with(b"curl") || agent.starts_with(b"Wget") || agent.starts_with(b"Mozilla/5.0")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(accept: &str) -> HeaderMap {
        let mut h = HeaderMap::new();
        h.insert(http::header::ACCEPT, accept.parse().unwrap());
        h
    }

    #[test]
    fn the_best_clause_that_can_be_served_wins() {
        let table: &[(&str, Option<(Format, View)>)] = &[
            ("application/json;q=0.2, application/yaml;q=0.9", Some((Format::Yaml, View::Object))),
            ("application/xml, application/json", Some((Format::Json, View::Object))),
            ("application/json;as=Table;v=v1;g=meta.k8s.io,application/json", Some((Format::Json, View::Table))),
            ("application/json;as=Table;v=v2;g=meta.k8s.io,application/json", Some((Format::Json, View::Object))),
            ("application/json;as=Table", None),
            ("application/json;q=0", Some((Format::Json, View::Object))),
            ("application/vnd.kubernetes.protobuf,application/json", Some((Format::Protobuf, View::Object))),
            ("application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io", None),
        ];
        for (header, want) in table {
            let got = Accept::negotiate(&headers(header), None, Views::All).ok().map(|a| (a.format, a.view));
            assert_eq!(got, *want, "{header}");
        }
    }

    #[test]
    fn the_router_wants_a_type_spelled_out() {
        for (header, ok) in
            [("application/*", false), ("text/html, */*;q=0.1", true), (";", false), ("nonsense", false)]
        {
            assert_eq!(Accept::routable(&headers(header), PRODUCES).is_ok(), ok, "{header}");
        }
    }
}
