//! ClusterRole aggregation controller: puts the rules of the selected ClusterRoles into those that aggregate them.
//!
//! Without it `admin`, `edit` and `view` are empty. Several front-ends may run it: every step is idempotent.

use std::sync::Arc;
use std::time::Duration;

use kuorum_auth::authz::rbac::GROUP;
use kuorum_cache::{Object, Observer};
use kuorum_kinds::value as json;
use kuorum_schema::selector::Selector;
use serde_json::Value;
use tokio::sync::Notify;

use crate::app::App;
use crate::loopback::{Client, Refused, segment};

/// After a failure, how long until the next try.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// As kube-controller-manager signs its changes.
const FIELD_MANAGER: &str = "clusterrole-aggregation-controller";

/// Wakes the controller when a ClusterRole changes, and only then.
struct Wake(Arc<Notify>);

impl Observer for Wake {
    fn replaced(&self, _: &[Arc<Object>]) {
        self.0.notify_one();
    }

    fn changed(&self, _: Option<&Arc<Object>>, _: Option<&Arc<Object>>) {
        self.0.notify_one();
    }
}

/// Runs until the drain.
pub async fn run(app: Arc<App>) {
    let Ok((_, roles)) = app.resource_named(GROUP, "v1", "clusterroles") else { return };
    let client = Client::new(app.clone());
    let changed = Arc::new(Notify::new());
    roles.observe(Arc::new(Wake(changed.clone())));
    loop {
        tokio::select! {
            () = changed.notified() => {}
            () = app.drain.cancelled() => return,
        }
        let all: Vec<Value> =
            roles.snapshot().iter().filter_map(|role| serde_json::from_slice(role.json()).ok()).collect();
        for mut role in outdated(&all) {
            if let Err(error) = write(&client, &mut role).await {
                tracing::debug!(%error, "a ClusterRole is not aggregated yet");
                tokio::select! {
                    () = tokio::time::sleep(RETRY_INTERVAL) => changed.notify_one(),
                    () = app.drain.cancelled() => return,
                }
            }
        }
    }
}

async fn write(client: &Client, role: &mut Value) -> Result<(), Refused> {
    let name = segment(json::text(role, "metadata.name"));
    let path = format!("/apis/{GROUP}/v1/clusterroles/{name}?fieldManager={FIELD_MANAGER}");
    if let Some(meta) = json::existing(role, "metadata") {
        json::remove(meta, "managedFields");
    }
    client.put(&path, role).await.map(drop)
}

/// The roles that aggregate others and whose rules are not those of the others, with the rules that they should have.
fn outdated(all: &[Value]) -> Vec<Value> {
    let aggregating = all.iter().filter(|role| json::get(role, "aggregationRule").is_object());
    let changed = |role: &Value| {
        let rules = aggregated(role, all);
        (!same_rules(json::items(role, "rules"), &rules)).then(|| {
            let mut role = role.clone();
            json::set(&mut role, "rules", rules);
            role
        })
    };
    aggregating.filter_map(changed).collect()
}

/// The rules of every role that a selector selects, in the order of their names, each rule once.
fn aggregated(role: &Value, all: &[Value]) -> Vec<Value> {
    let mut rules: Vec<Value> = Vec::new();
    for selector in json::items(role, "aggregationRule.clusterRoleSelectors") {
        let Ok(selector) = Selector::from_label_selector(selector) else { continue };
        let selects = |other: &&Value| selector.matches(json::get(other, "metadata.labels"));
        let of_role = |other: &&Value| json::text(other, "metadata.name") == json::text(role, "metadata.name");
        for other in all.iter().filter(|other| !of_role(other)).filter(selects) {
            for rule in json::items(other, "rules") {
                if !rules.iter().any(|known| json::equal(known, rule)) {
                    rules.push(rule.clone());
                }
            }
        }
    }
    rules
}

fn same_rules(a: &[Value], b: &[Value]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(x, y)| json::equal(x, y))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn role(name: &str, labels: Value, resources: &[&str]) -> Value {
        let rules: Vec<Value> =
            resources.iter().map(|r| json!({"verbs": ["get"], "apiGroups": [""], "resources": [r]})).collect();
        json!({"metadata": {"name": name, "labels": labels}, "rules": rules})
    }

    #[test]
    fn rules_are_collected_through_levels() {
        let mut view = role("view", json!({"to-edit": "true"}), &[]);
        view["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {"to-view": "true"}}]});
        let mut edit = role("edit", json!({"to-edit": "true"}), &["stale"]);
        edit["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {"to-edit": "true"}}]});
        let mut all = vec![
            role("a", json!({"to-view": "true"}), &["pods", "nodes"]),
            role("b", json!({"to-view": "true", "to-edit": "true"}), &["pods"]),
            role("c", json!({}), &["secrets"]),
            edit,
            view,
        ];
        let resources = |role: &Value| -> Vec<String> {
            json::items(role, "rules").iter().map(|r| r["resources"][0].as_str().unwrap().to_owned()).collect()
        };
        // Round by round, until nothing changes.
        for _ in 0..3 {
            for changed in outdated(&all) {
                let place = all.iter().position(|r| r["metadata"]["name"] == changed["metadata"]["name"]).unwrap();
                all[place] = changed;
            }
        }
        assert_eq!(resources(&all[4]), ["pods", "nodes"]);
        assert_eq!(resources(&all[3]), ["pods", "nodes"], "its own rules and the stale one are gone");
        assert!(outdated(&all).is_empty());
    }
}
