//! Impersonation: a request that asks to be served as somebody else, and may.
//!
//! There are several ways to be allowed (constrained impersonation, KEP 5284), tried in order: as the node on which
//! the caller's own pod runs, as any node, as a service account, as another user; and last the old way, one verb
//! `impersonate` for everything. The constrained ways ask twice: may the caller do *this* while being somebody else
//! (`impersonate-on:<mode>:<verb>`), and may it be *that* somebody (`impersonate:<mode>`).

use std::collections::{BTreeMap, HashMap};

use kuorum_auth::authn::service_account::{group_names, split_username};
use kuorum_auth::authz::message::{forbidden, quoted, quoted_list};
use kuorum_kinds::field::name_is_dns_subdomain;
use parking_lot::Mutex;

use super::authorization::attributes;
use crate::app::App;
use crate::auth::authorizer::{Attributes, Decision};
use crate::auth::credentials::Impersonation;
use crate::auth::{AUTHENTICATED, MASTERS, UNAUTHENTICATED, User};
use crate::request::info::RequestInfo;
use crate::status::ApiError;

const AUTHENTICATION: &str = "authentication.k8s.io";
const ANONYMOUS: &str = "system:anonymous";
const NODE_PREFIX: &str = "system:node:";
const NODES_GROUP: &str = "system:nodes";
const NODE_NAME_KEY: &str = "authentication.kubernetes.io/node-name";
/// What stands for a service account's extra when it acts as its own node.
const ASSOCIATED_NODE_KEYS: &str = "authentication.kubernetes.io/associated-node-keys";
/// So many groups or extra values are asked for at once before they are asked for one by one.
const MANY: usize = 4;
/// Callers whose way is remembered.
const REMEMBERED_MAX: usize = 10_000;

/// The user that was asked for, and the way in which it was allowed, for the audit log.
pub struct Impersonated {
    pub user: User,
    /// The verb; empty for the old way.
    pub constraint: &'static str,
}

/// One way to be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    AssociatedNode,
    ArbitraryNode,
    ServiceAccount,
    UserInfo,
    Legacy,
}

const MODES: [Mode; 5] =
    [Mode::AssociatedNode, Mode::ArbitraryNode, Mode::ServiceAccount, Mode::UserInfo, Mode::Legacy];

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Mode::AssociatedNode => "associated-node",
            Mode::ArbitraryNode => "arbitrary-node",
            Mode::ServiceAccount => "serviceaccount",
            Mode::UserInfo => "user-info",
            Mode::Legacy => "",
        }
    }

    /// The verb on what is impersonated.
    fn verb(self) -> &'static str {
        match self {
            Mode::AssociatedNode => "impersonate:associated-node",
            Mode::ArbitraryNode => "impersonate:arbitrary-node",
            Mode::ServiceAccount => "impersonate:serviceaccount",
            Mode::UserInfo => "impersonate:user-info",
            Mode::Legacy => "impersonate",
        }
    }

    /// Whether this is a way to become that user.
    fn applies(self, caller: &User, wanted: &User) -> bool {
        let name_only = wanted.uid.is_empty() && wanted.groups.is_empty() && wanted.extra.is_empty();
        match self {
            Mode::AssociatedNode => {
                let own = caller.extra.get(NODE_NAME_KEY).filter(|_| split_username(&caller.name).is_some());
                name_only && node_name(wanted).is_some_and(|node| own.is_some_and(|own| own[..] == [node.to_owned()]))
            }
            Mode::ArbitraryNode => name_only && node_name(wanted).is_some(),
            Mode::ServiceAccount => name_only && split_username(&wanted.name).is_some(),
            Mode::UserInfo => node_name(wanted).is_none() && split_username(&wanted.name).is_none(),
            Mode::Legacy => true,
        }
    }
}

/// The node whose user this is.
fn node_name(user: &User) -> Option<&str> {
    user.name.strip_prefix(NODE_PREFIX).filter(|name| name_is_dns_subdomain(name, false).is_empty())
}

/// Which way worked last, by the caller's name. It is tried first: the others' checks are then not paid for, and a
/// refusal speaks of the way that the caller uses.
#[derive(Default)]
pub struct LastModes(Mutex<HashMap<String, Mode>>);

impl LastModes {
    fn get(&self, caller: &User) -> Option<Mode> {
        self.0.lock().get(&caller.name).copied()
    }

    fn set(&self, caller: &User, mode: Mode) {
        let mut modes = self.0.lock();
        if modes.len() >= REMEMBERED_MAX {
            modes.clear();
        }
        modes.insert(caller.name.clone(), mode);
    }
}

/// The user as whom to serve the request; `None`: as the caller.
pub async fn impersonate(
    app: &App,
    caller: &User,
    headers: &Impersonation<'_>,
    info: &RequestInfo<'_>,
) -> Result<Option<Impersonated>, ApiError> {
    if headers.is_none() {
        return Ok(None);
    }
    let wanted = User {
        name: headers.user().to_owned(),
        uid: headers.uid().to_owned(),
        groups: headers.groups(),
        extra: headers.extra(),
    };
    if wanted.name.is_empty() {
        if wanted == User::default() {
            return Ok(None);
        }
        let shown = shown(&wanted);
        return Err(ApiError::bad_request(format!("requested {shown} without impersonating a user name")));
    }
    let last = app.impersonation.get(caller);
    let mut first_error = None;
    // The one that worked last comes first.
    let mut modes = MODES;
    modes.sort_by_key(|mode| Some(*mode) != last);
    for mode in modes {
        if !mode.applies(caller, &wanted) {
            continue;
        }
        match (Check { app, caller, wanted: &wanted, info, mode }).run().await {
            Ok(user) => {
                if last != Some(mode) {
                    app.impersonation.set(caller, mode);
                }
                let constraint = if mode == Mode::Legacy { "" } else { mode.verb() };
                return Ok(Some(Impersonated { user, constraint }));
            }
            Err(error) => {
                first_error.get_or_insert(error);
            }
        }
    }
    // The old way always applies, so there is an error.
    Err(first_error.unwrap_or_else(|| ApiError::internal("all impersonation modes failed")))
}

/// One way, tried.
struct Check<'a> {
    app: &'a App,
    caller: &'a User,
    wanted: &'a User,
    info: &'a RequestInfo<'a>,
    mode: Mode,
}

impl Check<'_> {
    async fn run(&self) -> Result<User, ApiError> {
        // Rules about the associated node are the same for every node: neither its name nor the pod's counts.
        let masked;
        let caller = if self.mode == Mode::AssociatedNode {
            let keys = self.caller.extra.keys().cloned().collect();
            masked = User { extra: [(ASSOCIATED_NODE_KEYS.to_owned(), keys)].into(), ..self.caller.clone() };
            &masked
        } else {
            self.caller
        };
        if self.mode != Mode::Legacy {
            let verb = format!("impersonate-on:{}:{}", self.mode.name(), self.info.verb);
            self.ask(&Attributes { verb: &verb, ..attributes(caller, self.info) }).await?;
        }
        let mut user = self.wanted.clone();
        self.check_name(caller, &mut user).await?;
        let own = |resource| Attributes::of_resource(caller, self.mode.verb(), AUTHENTICATION, resource);
        if !self.wanted.uid.is_empty() {
            self.ask(&Attributes { version: "v1", name: &self.wanted.uid, ..own("uids") }).await?;
        }
        self.check_groups(caller).await?;
        self.check_extra(Attributes { version: "v1", ..own("userextras") }).await?;
        let group = match user.name.as_str() {
            ANONYMOUS => UNAUTHENTICATED,
            _ if user.is_in(UNAUTHENTICATED) => return Ok(user),
            _ => AUTHENTICATED,
        };
        if !user.is_in(group) {
            user.groups.push(group.to_owned());
        }
        Ok(user)
    }

    /// The group of the API to which users and groups belong.
    fn group(&self) -> &'static str {
        if self.mode == Mode::Legacy { "" } else { AUTHENTICATION }
    }

    async fn check_name(&self, caller: &User, user: &mut User) -> Result<(), ApiError> {
        let of = |resource| Attributes {
            version: "v1",
            ..Attributes::of_resource(caller, self.mode.verb(), self.group(), resource)
        };
        if let Some((namespace, name)) = split_username(&self.wanted.name) {
            if self.wanted.groups.is_empty() {
                user.groups = group_names(namespace);
            }
            return self.ask(&Attributes { namespace, name, ..of("serviceaccounts") }).await;
        }
        match node_name(self.wanted).filter(|_| self.mode != Mode::Legacy) {
            Some(node) => {
                user.groups = vec![NODES_GROUP.to_owned()];
                let name = if self.mode == Mode::AssociatedNode { "*" } else { node };
                self.ask(&Attributes { name, ..of("nodes") }).await
            }
            None => self.ask(&Attributes { name: &self.wanted.name, ..of("users") }).await,
        }
    }

    async fn check_groups(&self, caller: &User) -> Result<(), ApiError> {
        let groups = &self.wanted.groups;
        let of =
            Attributes { version: "v1", ..Attributes::of_resource(caller, self.mode.verb(), self.group(), "groups") };
        if self.mode != Mode::Legacy {
            if groups.iter().any(String::is_empty) {
                return Err(refused(&of, "impersonating the empty string group is not allowed"));
            }
            if groups.iter().any(|g| g == MASTERS) {
                let of = Attributes { name: MASTERS, ..of };
                return Err(refused(&of, "impersonating the system:masters group is not allowed"));
            }
            if groups.len() >= MANY && self.ask(&Attributes { name: "*", ..of }).await.is_ok() {
                return Ok(());
            }
        }
        for name in groups {
            self.ask(&Attributes { name, ..of }).await?;
        }
        Ok(())
    }

    async fn check_extra(&self, of: Attributes<'_>) -> Result<(), ApiError> {
        let extra = &self.wanted.extra;
        if self.mode != Mode::Legacy {
            if let Some(why) = wrong_extra(extra) {
                return Err(refused(&of, &why));
            }
            let many = extra.len() >= MANY || extra.values().map(Vec::len).sum::<usize>() >= MANY;
            if many && self.ask(&Attributes { subresource: "*", name: "*", ..of }).await.is_ok() {
                return Ok(());
            }
        }
        for (key, values) in extra {
            for name in values {
                self.ask(&Attributes { subresource: key, name, ..of }).await?;
            }
        }
        Ok(())
    }

    async fn ask(&self, attributes: &Attributes<'_>) -> Result<(), ApiError> {
        let refusal = match self.app.authorization.authorize(attributes).await {
            Decision::Allow(_) => return Ok(()),
            Decision::Deny(refusal) | Decision::NoOpinion(refusal) => refusal,
        };
        let why = match (refusal.error, refusal.reason.as_str()) {
            (Some(error), "") => error,
            (Some(error), reason) => format!("{error}: {reason}"),
            (None, reason) => reason.to_owned(),
        };
        Err(refused(attributes, &why))
    }
}

fn refused(attributes: &Attributes<'_>, why: &str) -> ApiError {
    let text = forbidden(attributes, why);
    let (group, resource) = if attributes.is_resource { (attributes.group, attributes.resource) } else { ("", "") };
    ApiError::forbidden(group, resource, attributes.name, text)
}

/// What is wrong with the keys and values of extra, for the ways that look.
fn wrong_extra(extra: &BTreeMap<String, Vec<String>>) -> Option<String> {
    for (key, values) in extra {
        if key.is_empty() {
            return Some("impersonating the empty string key in extra is not allowed".to_owned());
        }
        if let Some(why) = not_domain_prefixed(key) {
            return Some(format!("impersonating an invalid key in extra is not allowed: {why}"));
        }
        if values.is_empty() {
            return Some("impersonating empty values in extra is not allowed".to_owned());
        }
        if values.iter().any(String::is_empty) {
            return Some("impersonating the empty string value in extra is not allowed".to_owned());
        }
    }
    None
}

/// Keys are `domain/path`.
fn not_domain_prefixed(key: &str) -> Option<String> {
    let invalid = |why: &str| Some(format!("extra.key: Invalid value: {}: {why}", quoted(key)));
    let Some((domain, path)) = key.split_once('/').filter(|(d, p)| !d.is_empty() && !p.is_empty()) else {
        return invalid("must be a domain-prefixed path (such as \"acme.io/foo\")");
    };
    if let Some(why) = name_is_dns_subdomain(domain, false).first() {
        return invalid(why);
    }
    let good = |c: char| c.is_ascii_alphanumeric() || "-._~%!$&'()*+,;=:@/".contains(c);
    if path.chars().all(good) { None } else { invalid("Invalid path") }
}

/// A user as Go prints it with `%#v`.
fn shown(user: &User) -> String {
    let list = |texts: &[String]| match texts {
        [] => "[]string(nil)".to_owned(),
        texts => {
            let texts = quoted_list(texts);
            format!("[]string{{{}}}", texts.trim_matches(['[', ']']).replace("\" \"", "\", \""))
        }
    };
    let extra = if user.extra.is_empty() {
        "map[string][]string(nil)".to_owned()
    } else {
        let entries: Vec<String> = user.extra.iter().map(|(k, v)| format!("{}:{}", quoted(k), list(v))).collect();
        format!("map[string][]string{{{}}}", entries.join(", "))
    };
    let (name, uid, groups) = (quoted(&user.name), quoted(&user.uid), list(&user.groups));
    format!("&user.DefaultInfo{{Name:{name}, UID:{uid}, Groups:{groups}, Extra:{extra}}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> User {
        User { name: name.to_owned(), ..User::default() }
    }

    #[test]
    fn each_way_is_for_its_users() {
        let pod = User {
            extra: [(NODE_NAME_KEY.to_owned(), vec!["n1".to_owned()])].into(),
            ..user("system:serviceaccount:a:b")
        };
        let node_like = User { extra: pod.extra.clone(), ..user("mallory") };
        let grouped = User { groups: vec!["g".to_owned()], ..user("system:node:n1") };
        for (caller, wanted, modes) in [
            (&pod, user("system:node:n1"), &[Mode::AssociatedNode, Mode::ArbitraryNode, Mode::Legacy][..]),
            (&pod, user("system:node:n2"), &[Mode::ArbitraryNode, Mode::Legacy]),
            (&node_like, user("system:node:n1"), &[Mode::ArbitraryNode, Mode::Legacy]),
            (&pod, grouped, &[Mode::Legacy]),
            (&pod, user("system:node:N_1"), &[Mode::UserInfo, Mode::Legacy]),
            (&pod, user("system:serviceaccount:x:y"), &[Mode::ServiceAccount, Mode::Legacy]),
            (&pod, user("system:serviceaccount:bad"), &[Mode::UserInfo, Mode::Legacy]),
            (&pod, user("bob"), &[Mode::UserInfo, Mode::Legacy]),
        ] {
            let found: Vec<Mode> = MODES.into_iter().filter(|m| m.applies(caller, &wanted)).collect();
            assert_eq!(found, modes, "{} as {}", caller.name, wanted.name);
        }
    }

    #[test]
    fn users_are_shown_as_go_shows_them() {
        let wanted = User {
            groups: vec!["g1".to_owned(), "g 2".to_owned()],
            extra: [("scopes".to_owned(), vec!["view".to_owned()])].into(),
            ..User::default()
        };
        assert_eq!(
            shown(&wanted),
            r#"&user.DefaultInfo{Name:"", UID:"", Groups:[]string{"g1", "g 2"}, Extra:map[string][]string{"scopes":[]string{"view"}}}"#
        );
        assert_eq!(
            shown(&User { uid: "u-1".to_owned(), ..User::default() }),
            r#"&user.DefaultInfo{Name:"", UID:"u-1", Groups:[]string(nil), Extra:map[string][]string(nil)}"#
        );
    }

    #[test]
    fn extra_is_checked_by_the_constrained_ways() {
        let extra = |key: &str, value: &str| [(key.to_owned(), vec![value.to_owned()])].into();
        assert_eq!(wrong_extra(&extra("ex.io/key", "v")), None);
        for (key, value) in [("", "v"), ("scopes", "v"), ("ex.io/", "v"), ("Ex.io/key", "v"), ("ex.io/key", "")] {
            assert!(wrong_extra(&extra(key, value)).is_some(), "{key}={value}");
        }
    }
}
