//! One event, in the order and the formats of `audit.k8s.io/v1`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::SystemTime;

use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::policy::{Level, Stage};

/// What is recorded of a request at one stage.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    #[serde(serialize_with = "level")]
    pub level: Level,
    #[serde(rename = "auditID")]
    pub audit_id: String,
    #[serde(serialize_with = "stage")]
    pub stage: Stage,
    #[serde(rename = "requestURI")]
    pub request_uri: String,
    pub verb: String,
    pub user: UserInfo,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub impersonated_user: Option<UserInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authentication_metadata: Option<AuthenticationMetadata>,
    #[serde(rename = "sourceIPs", skip_serializing_if = "Vec::is_empty")]
    pub source_ips: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user_agent: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object_ref: Option<ObjectReference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_status: Option<ResponseStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_object: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_object: Option<Box<RawValue>>,
    #[serde(serialize_with = "micro_time")]
    pub request_received_timestamp: SystemTime,
    #[serde(serialize_with = "micro_time")]
    pub stage_timestamp: SystemTime,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// A user, as events show one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UserInfo {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub username: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, Vec<String>>,
}

/// What allowed an impersonation.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuthenticationMetadata {
    pub impersonation_constraint: String,
}

/// What a request is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectReference {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub api_group: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subresource: String,
}

/// What came of it: the code, and what a `Status` said.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ResponseStatus {
    metadata: Empty,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub status: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Value>,
    #[serde(skip_serializing_if = "is_zero")]
    pub code: u16,
}

/// `metadata` of a status: always there, always empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
struct Empty {}

fn is_zero(code: &u16) -> bool {
    *code == 0
}

impl ResponseStatus {
    pub fn of(status: &str, reason: &str, message: impl Into<String>, code: u16) -> Self {
        ResponseStatus {
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: message.into(),
            code,
            ..ResponseStatus::default()
        }
    }

    /// Of an answer with this body: what a `Status` in it says, and the code.
    pub fn of_answer(code: u16, body: Option<&[u8]>) -> Self {
        let status = body.and_then(|body| serde_json::from_slice::<Value>(body).ok());
        let Some(status) = status.filter(|value| value["kind"] == "Status" && value["apiVersion"] == "v1") else {
            return ResponseStatus { code, ..ResponseStatus::default() };
        };
        let text = |field: &str| status[field].as_str().unwrap_or_default().to_owned();
        ResponseStatus {
            metadata: Empty {},
            status: text("status"),
            message: text("message"),
            reason: text("reason"),
            details: status.get("details").filter(|details| !details.is_null()).cloned(),
            code,
        }
    }
}

fn level<S: Serializer>(level: &Level, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(level.as_str())
}

fn stage<S: Serializer>(stage: &Stage, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(stage.as_str())
}

fn micro_time<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&timestamp(*time, 6))
}

/// RFC 3339 in UTC with so many digits of the second's fraction.
pub(crate) fn timestamp(time: SystemTime, digits: usize) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    let whole = kuorum_schema::time::Timestamp { seconds, nanos: 0 }.to_rfc3339();
    let fraction = format!("{:09}", since.subsec_nanos());
    format!("{}.{}Z", whole.trim_end_matches('Z'), fraction.get(..digits.min(9)).unwrap_or_default())
}

impl Event {
    /// A line of the log in JSON, with the final newline.
    pub fn json_line(&self) -> Vec<u8> {
        // Kind and version come first, as in every API object; items of a list do without.
        let mut line = br#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","#.to_vec();
        let body = self.json();
        line.extend_from_slice(body.strip_prefix(b"{").unwrap_or(&body));
        line.push(b'\n');
        line
    }

    /// As an item of an `EventList`.
    pub fn json(&self) -> Vec<u8> {
        // Strings, maps with string keys and checked JSON always serialise.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// A line of the log in the format from before JSON, with the final newline.
    pub fn legacy_line(&self) -> Vec<u8> {
        let groups = |groups: &[String]| groups.iter().map(|g| quoted(g)).collect::<Vec<_>>().join(",");
        let or = |text: &str, none: &str| quoted(if text.is_empty() { none } else { text });
        let user = &self.user;
        let user_groups =
            if user.username.is_empty() || user.groups.is_empty() { String::new() } else { groups(&user.groups) };
        let (other, other_groups) = match &self.impersonated_user {
            None => ("<self>".to_owned(), "<lookup>".to_owned()),
            Some(user) if user.groups.is_empty() => (user.username.clone(), "<lookup>".to_owned()),
            Some(user) => (user.username.clone(), groups(&user.groups)),
        };
        let namespace = self.object_ref.as_ref().map_or("", |object| object.namespace.as_str());
        let response = self.response_status.as_ref().map_or("<deferred>".to_owned(), |s| s.code.to_string());
        let line = format!(
            "{} AUDIT: id={} stage={} ip={} method={} user={} groups={} as={} asgroups={} user-agent={} namespace={} uri={} response=\"{response}\"\n",
            timestamp(self.request_received_timestamp, 9),
            quoted(&self.audit_id),
            quoted(self.stage.as_str()),
            or(self.source_ips.first().map_or("", String::as_str), "<unknown>"),
            quoted(&self.verb),
            or(&user.username, "<none>"),
            or(&user_groups, "<none>"),
            quoted(&other),
            quoted(&other_groups),
            quoted(&self.user_agent),
            or(namespace, "<none>"),
            quoted(&self.request_uri),
        );
        line.into_bytes()
    }

    /// Without the objects, marked as such.
    pub(crate) fn truncated(&self) -> Event {
        let mut small = Event { request_object: None, response_object: None, ..self.clone() };
        small.annotations.insert("audit.k8s.io/truncated".to_owned(), "true".to_owned());
        small
    }
}

/// A string as Go's `%q` prints it.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() => drop(write!(out, "\\x{:02x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn event() -> Event {
        Event {
            level: Level::Request,
            audit_id: "id-1".to_owned(),
            stage: Stage::ResponseComplete,
            request_uri: "/api/v1/namespaces/default/pods?dryRun=All".to_owned(),
            verb: "create".to_owned(),
            user: UserInfo {
                username: "alice".to_owned(),
                uid: "u1".to_owned(),
                groups: vec!["dev".to_owned(), "ops".to_owned()],
                extra: BTreeMap::from([("scopes".to_owned(), vec!["a".to_owned()])]),
            },
            impersonated_user: None,
            authentication_metadata: None,
            source_ips: vec!["10.0.0.1".to_owned()],
            user_agent: "kubectl/1.36 \"x\"".to_owned(),
            object_ref: Some(ObjectReference {
                resource: "pods".to_owned(),
                namespace: "default".to_owned(),
                api_version: "v1".to_owned(),
                ..ObjectReference::default()
            }),
            response_status: Some(ResponseStatus { code: 201, ..ResponseStatus::default() }),
            request_object: crate::json::document(b"{ \"kind\": \"Pod\" }", false),
            response_object: None,
            request_received_timestamp: SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_789),
            stage_timestamp: SystemTime::UNIX_EPOCH + Duration::new(1_700_000_001, 0),
            annotations: BTreeMap::from([("authorization.k8s.io/decision".to_owned(), "allow".to_owned())]),
        }
    }

    #[test]
    fn a_line_has_the_fields_of_the_api_in_their_order() {
        let line = String::from_utf8(event().json_line()).unwrap();
        let want = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Request","auditID":"id-1","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/default/pods?dryRun=All","verb":"create","user":{"username":"alice","uid":"u1","groups":["dev","ops"],"extra":{"scopes":["a"]}},"sourceIPs":["10.0.0.1"],"userAgent":"kubectl/1.36 \"x\"","objectRef":{"resource":"pods","namespace":"default","apiVersion":"v1"},"responseStatus":{"metadata":{},"code":201},"requestObject":{"kind":"Pod"},"requestReceivedTimestamp":"2023-11-14T22:13:20.123456Z","stageTimestamp":"2023-11-14T22:13:21.000000Z","annotations":{"authorization.k8s.io/decision":"allow"}}"#;
        assert_eq!(line, format!("{want}\n"));
    }

    #[test]
    fn the_old_format_quotes_twice() {
        let line = String::from_utf8(event().legacy_line()).unwrap();
        let want = r#"2023-11-14T22:13:20.123456789Z AUDIT: id="id-1" stage="ResponseComplete" ip="10.0.0.1" method="create" user="alice" groups="\"dev\",\"ops\"" as="<self>" asgroups="<lookup>" user-agent="kubectl/1.36 \"x\"" namespace="default" uri="/api/v1/namespaces/default/pods?dryRun=All" response="201""#;
        assert_eq!(line, format!("{want}\n"));
    }

    #[test]
    fn a_status_in_the_answer_is_shown() {
        let body = br#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"m","reason":"NotFound","details":{"name":"x"},"code":404}"#;
        let status = ResponseStatus::of_answer(404, Some(body));
        let json = serde_json::to_string(&status).unwrap();
        assert_eq!(
            json,
            r#"{"metadata":{},"status":"Failure","message":"m","reason":"NotFound","details":{"name":"x"},"code":404}"#
        );
        for other in [None, Some(&b"ok"[..]), Some(br#"{"kind":"Pod","apiVersion":"v1","status":{}}"#)] {
            assert_eq!(
                ResponseStatus::of_answer(200, other),
                ResponseStatus { code: 200, ..ResponseStatus::default() }
            );
        }
    }
}
