//! FlowSchemas and PriorityLevelConfigurations as this crate reads them: from their JSON, defaulted and validated.

use serde::Deserialize;
use serde_json::Value;

use crate::shuffle::Dealer;

/// The name of the level that has no limit, and of its FlowSchema.
pub const EXEMPT: &str = "exempt";
/// The name of the level that takes what nothing else matches, and of its FlowSchema.
pub const CATCH_ALL: &str = "catch-all";

/// Queues of a level are made beforehand, so their number is bounded; more would not separate flows any better.
const QUEUES_MAX: u32 = 1 << 16;

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Metadata {
    pub name: String,
    pub uid: String,
}

/// A FlowSchema.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct FlowSchema {
    pub metadata: Metadata,
    pub spec: FlowSchemaSpec,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FlowSchemaSpec {
    /// The schema that matches with the smallest one is taken, by name where they are equal.
    #[serde(default = "default_precedence")]
    pub matching_precedence: i64,
    pub priority_level_configuration: LevelReference,
    #[serde(default)]
    pub distinguisher_method: Option<DistinguisherMethod>,
    #[serde(default)]
    pub rules: Vec<PolicyRules>,
}

fn default_precedence() -> i64 {
    1000
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct LevelReference {
    pub name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct DistinguisherMethod {
    #[serde(rename = "type")]
    pub kind: Distinguisher,
}

/// What tells the flows of a schema apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Distinguisher {
    ByUser,
    ByNamespace,
}

/// Rules with the subjects whom they are about. `null` lists, which Go clients write, are empty ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PolicyRules {
    #[serde(deserialize_with = "list")]
    pub subjects: Vec<Subject>,
    #[serde(deserialize_with = "list")]
    pub resource_rules: Vec<ResourceRule>,
    #[serde(deserialize_with = "list")]
    pub non_resource_rules: Vec<NonResourceRule>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Subject {
    pub user: Option<Named>,
    pub group: Option<Named>,
    pub service_account: Option<Named>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Named {
    pub namespace: String,
    pub name: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ResourceRule {
    #[serde(deserialize_with = "list")]
    pub verbs: Vec<String>,
    #[serde(deserialize_with = "list")]
    pub api_groups: Vec<String>,
    #[serde(deserialize_with = "list")]
    pub resources: Vec<String>,
    #[serde(deserialize_with = "list")]
    pub namespaces: Vec<String>,
    pub cluster_scope: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NonResourceRule {
    #[serde(deserialize_with = "list")]
    pub verbs: Vec<String>,
    #[serde(rename = "nonResourceURLs", deserialize_with = "list")]
    pub non_resource_urls: Vec<String>,
}

fn list<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    Option::<Vec<T>>::deserialize(from).map(Option::unwrap_or_default)
}

/// A PriorityLevelConfiguration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriorityLevel {
    pub metadata: Metadata,
    pub shares: u32,
    /// How much of its seats it lends to others, 0 to 100.
    pub lendable_percent: u32,
    /// How much it may borrow, in per cent of its seats; `None`: as much as there is.
    pub borrowing_limit_percent: Option<u32>,
    pub response: LimitResponse,
}

/// What happens to a request for which there is no seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitResponse {
    /// There is always a seat.
    Exempt,
    Reject,
    /// It waits in one of its hand of queues, unless that has `length_max` already.
    Queue {
        dealer: Dealer,
        length_max: usize,
    },
}

#[derive(Deserialize)]
struct RawLevel {
    metadata: Metadata,
    spec: RawSpec,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawSpec {
    #[serde(rename = "type")]
    kind: String,
    limited: Option<RawLimited>,
    exempt: Option<RawExempt>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawExempt {
    nominal_concurrency_shares: Option<u32>,
    lendable_percent: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawLimited {
    nominal_concurrency_shares: Option<u32>,
    lendable_percent: Option<u32>,
    borrowing_limit_percent: Option<u32>,
    limit_response: RawResponse,
}

#[derive(Deserialize)]
struct RawResponse {
    #[serde(rename = "type")]
    kind: String,
    queuing: Option<RawQueuing>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawQueuing {
    queues: u32,
    hand_size: u32,
    queue_length_limit: usize,
}

/// Nominal shares of a limited level that does not say.
const SHARES_DEFAULT: u32 = 30;

impl PriorityLevel {
    /// Reads an object. An error says what makes it unusable; validation lets none of these through.
    pub fn from_json(object: &Value) -> Result<Self, String> {
        let RawLevel { metadata, spec } = RawLevel::deserialize(object).map_err(|e| e.to_string())?;
        if (spec.kind == "Exempt") != (metadata.name == EXEMPT) {
            return Err(format!("only the level {EXEMPT:?} may be exempt, and it must be"));
        }
        match (spec.kind.as_str(), spec.limited, spec.exempt) {
            ("Exempt", None, exempt) => Ok(PriorityLevel {
                metadata,
                shares: exempt.as_ref().and_then(|e| e.nominal_concurrency_shares).unwrap_or(0),
                lendable_percent: exempt.and_then(|e| e.lendable_percent).unwrap_or(0).min(100),
                borrowing_limit_percent: None,
                response: LimitResponse::Exempt,
            }),
            ("Limited", Some(limited), None) => Ok(PriorityLevel {
                metadata,
                shares: limited.nominal_concurrency_shares.unwrap_or(SHARES_DEFAULT),
                lendable_percent: limited.lendable_percent.unwrap_or(0).min(100),
                borrowing_limit_percent: limited.borrowing_limit_percent,
                response: response(limited.limit_response)?,
            }),
            _ => Err("exactly one of limited and exempt must be set, as type says".to_owned()),
        }
    }

    /// Whether requests can wait in more than one queue, so that it matters which flow they belong to.
    pub fn has_flows(&self) -> bool {
        matches!(self.response, LimitResponse::Queue { dealer, .. } if dealer.deck() > 1)
    }
}

fn response(raw: RawResponse) -> Result<LimitResponse, String> {
    match (raw.kind.as_str(), raw.queuing) {
        ("Reject", None) => Ok(LimitResponse::Reject),
        ("Queue", Some(queuing)) => {
            let dealer = Dealer::new(queuing.queues.min(QUEUES_MAX), queuing.hand_size)
                .ok_or_else(|| format!("no hand of {} can be dealt from {}", queuing.hand_size, queuing.queues))?;
            Ok(LimitResponse::Queue { dealer, length_max: queuing.queue_length_limit.max(1) })
        }
        (kind, _) => Err(format!("limitResponse {kind:?} and its queuing do not fit")),
    }
}

impl FlowSchema {
    pub fn from_json(object: &Value) -> Result<Self, String> {
        FlowSchema::deserialize(object).map_err(|e| e.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn levels() {
        let limited = |response: Value| json!({"type": "Limited", "limited": {"limitResponse": response}});
        let queuing = |queues: u32, hand: u32| json!({"type": "Queue", "queuing": {"queues": queues, "handSize": hand, "queueLengthLimit": 50}});
        for (name, spec, ok) in [
            ("exempt", json!({"type": "Exempt"}), true),
            ("exempt", json!({"type": "Exempt", "exempt": {"nominalConcurrencyShares": 3}}), true),
            ("other", json!({"type": "Exempt"}), false),
            ("exempt", limited(json!({"type": "Reject"})), false),
            ("a", limited(json!({"type": "Reject"})), true),
            ("a", limited(queuing(64, 6)), true),
            ("a", limited(queuing(4, 6)), false),
            ("a", limited(json!({"type": "Queue"})), false),
            ("a", json!({"type": "Limited"}), false),
        ] {
            let level = PriorityLevel::from_json(&json!({"metadata": {"name": name}, "spec": spec}));
            assert_eq!(level.is_ok(), ok, "{name} {spec}: {level:?}");
        }
        let level = json!({"metadata": {"name": "a"}, "spec": limited(queuing(10_000_000, 2))});
        let level = PriorityLevel::from_json(&level).unwrap();
        assert_eq!((level.shares, level.has_flows()), (30, true));
        assert!(matches!(level.response, LimitResponse::Queue { dealer, .. } if dealer.deck() == QUEUES_MAX));
    }

    #[test]
    fn schemas() {
        let schema = json!({
            "metadata": {"name": "s", "uid": "u"},
            "spec": {
                "priorityLevelConfiguration": {"name": "l"},
                "rules": [{"subjects": [{"kind": "User", "user": {"name": "a"}}], "resourceRules": null}],
            },
        });
        let schema = FlowSchema::from_json(&schema).unwrap();
        assert_eq!((schema.spec.matching_precedence, schema.spec.distinguisher_method), (1000, None));
        assert!(schema.spec.rules[0].resource_rules.is_empty());
        assert!(FlowSchema::from_json(&json!({"metadata": {"name": "s"}})).is_err());
    }
}
