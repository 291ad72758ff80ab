//! Whether a request fits into the quotas of its namespace, and what it adds to them. Pure.

use std::collections::BTreeSet;

use kuorum_kinds::row::KindRow;
use serde::Deserialize;
use serde_json::Value;

use super::evaluators::Evaluator;
use super::quota::{Quota, Scope};
use crate::admission::amounts::{self, Amounts};

/// Something that may not be used unless a quota covers it (`limitedResources` of the settings).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Limited {
    pub api_group: String,
    pub resource: String,
    /// Parts of names of resources.
    pub match_contains: Vec<String>,
    pub match_scopes: Vec<Scope>,
}

/// A request to be held against quotas.
pub struct Request<'a> {
    pub row: &'a KindRow,
    pub evaluator: Evaluator,
    pub subresource: &'a str,
    pub object: &'a Value,
    /// What the object was, unless it is created.
    pub old: Option<&'a Value>,
    /// Seconds since 1970.
    pub now: i64,
}

/// Why a request does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Excess {
    /// The user is told so with 403.
    Forbidden(String),
    /// An error that the real server does not turn into a refusal: 500.
    Plain(String),
}

/// What the quotas that change use with the request: their index and all amounts used.
pub type Charged = Vec<(usize, Amounts)>;

/// Checks in the order of kube-apiserver: what must be said, what must be known, what must be covered, how much.
pub fn check(request: &Request<'_>, quotas: &[Quota], limited: &[Limited]) -> Result<Charged, Excess> {
    let Request { row, evaluator, object, old, now, .. } = *request;
    let mut covered_resources: BTreeSet<&str> = BTreeSet::new();
    let mut covering_scopes: BTreeSet<&str> = BTreeSet::new();
    let mut matching = Vec::new();
    for (index, quota) in quotas.iter().enumerate() {
        covering_scopes.extend(quota.scopes.iter().filter(|s| evaluator.covers(s, object)).map(|s| s.name.as_str()));
        if !applies(request, quota, object) {
            continue;
        }
        let tracked: BTreeSet<&str> = tracked(request, quota).collect();
        evaluator
            .unsaid(&tracked, object)
            .map_err(|why| Excess::Forbidden(format!("failed quota: {}: {why}", quota.name)))?;
        if tracked.iter().any(|resource| !quota.used.contains_key(*resource)) {
            let names = tracked.into_iter().collect::<Vec<_>>().join(",");
            return Err(Excess::Forbidden(format!("status unknown for quota: {}, resources: {names}", quota.name)));
        }
        covered_resources.extend(tracked);
        matching.push(index);
    }
    let usage = evaluator.usage(row, object, now);
    let negative: Vec<&str> = usage.iter().filter(|(_, a)| a.sign() < 0).map(|(name, _)| name.as_str()).collect();
    if !negative.is_empty() {
        return Err(Excess::Forbidden(format!("quota usage is negative for resource(s): {}", negative.join(","))));
    }
    let more = old.map_or_else(|| usage.clone(), |old| amounts::beyond(&usage, &evaluator.usage(row, old, now)));
    // A quota that did not count the object before counts all of it.
    let delta = |quota: &Quota| match old {
        Some(old) if applies(request, quota, old) => &more,
        _ => &usage,
    };
    let is_more = |amounts: &Amounts| amounts.values().any(|amount| !amount.is_zero());
    let changes = match matching.as_slice() {
        [] => is_more(&more),
        some => some.iter().any(|index| is_more(delta(&quotas[*index]))),
    };
    if !changes {
        return Ok(Vec::new());
    }
    check_covered(request, limited, &usage, &covered_resources, &covering_scopes)?;
    let mut charged = Vec::new();
    for index in matching {
        let quota = &quotas[index];
        let requested = amounts::only(delta(quota), |name| quota.hard.contains_key(name));
        let requested: Amounts = requested.into_iter().filter(|(_, amount)| !amount.is_zero()).collect();
        if requested.is_empty() {
            continue;
        }
        let mut used = quota.used.clone();
        amounts::add(&mut used, &requested);
        let exceeds = |name: &str| used.get(name).zip(quota.hard.get(name)).is_some_and(|(used, hard)| used > hard);
        let exceeding = amounts::only(&requested, exceeds);
        // What a node or controller reports has happened already.
        if !exceeding.is_empty() && request.subresource != "status" {
            let of = |amounts: &Amounts| amounts::show(&amounts::only(amounts, |name| exceeding.contains_key(name)));
            return Err(Excess::Forbidden(format!(
                "exceeded quota: {}, requested: {}, used: {}, limited: {}",
                quota.name,
                amounts::show(&exceeding),
                of(&quota.used),
                of(&quota.hard)
            )));
        }
        charged.push((index, used));
    }
    Ok(charged)
}

/// Whether a quota counts an object: one of its resources is about the kind, and all of its scopes cover the object.
fn applies(request: &Request<'_>, quota: &Quota, object: &Value) -> bool {
    tracked(request, quota).next().is_some() && quota.scopes.iter().all(|s| request.evaluator.covers(s, object))
}

/// The resources in force that are about the kind.
fn tracked<'a>(request: &'a Request<'_>, quota: &'a Quota) -> impl Iterator<Item = &'a str> {
    quota.hard.keys().map(String::as_str).filter(|name| request.evaluator.tracks(request.row, name))
}

/// What must be covered by a quota is.
fn check_covered(
    request: &Request<'_>,
    limited: &[Limited],
    usage: &Amounts,
    resources: &BTreeSet<&str>,
    scopes: &BTreeSet<&str>,
) -> Result<(), Excess> {
    let about_kind = limited.iter().filter(|l| l.api_group == request.row.group && l.resource == request.row.plural);
    let parts: Vec<&str> = about_kind.flat_map(|l| &l.match_contains).map(String::as_str).collect();
    let uncovered: Vec<&str> = usage
        .iter()
        .filter(|(name, amount)| amount.sign() > 0 && parts.iter().any(|part| name.contains(part)))
        .map(|(name, _)| name.as_str())
        .filter(|name| !resources.contains(name))
        .collect();
    if !uncovered.is_empty() {
        return Err(Excess::Forbidden(format!("insufficient quota to consume: {}", uncovered.join(","))));
    }
    let uncovered: Vec<String> = limited
        .iter()
        .flat_map(|l| &l.match_scopes)
        .filter(|scope| request.evaluator.covers(scope, request.object) && !scopes.contains(scope.name.as_str()))
        .map(ToString::to_string)
        .collect();
    if !uncovered.is_empty() {
        let why = format!("insufficient quota to match these scopes: [{}]", uncovered.join(" "));
        return Err(Excess::Plain(why));
    }
    Ok(())
}
