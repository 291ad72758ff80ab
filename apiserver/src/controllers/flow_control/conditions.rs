//! The condition `Dangling` of FlowSchemas: whether the priority level that a schema names is missing.

use std::collections::HashMap;
use std::time::Duration;

use kuorum_kinds::value::{items, text};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{GROUP, SCHEMAS, VERSION, path};
use crate::loopback::{Client, Refused};

/// As kube-apiserver's, so that managed fields tell the same.
const MANAGER: &str = "api-priority-and-fairness-config-consumer-v1";

/// A schema is written so often in [`PERIOD`] at most: servers that disagree must not fight at full speed.
const WRITES_MAX: u32 = 6;
const PERIOD: Duration = Duration::from_secs(60);

/// How often each schema was written lately.
#[derive(Default)]
pub struct Conditions {
    /// Since when, and how often.
    written: HashMap<String, (Instant, u32)>,
}

/// What is to be written now.
pub struct Writes {
    /// Schemas by name, with their new condition.
    pub schemas: Vec<(String, Value)>,
    /// When to look at those that were written too often.
    pub again: Option<Instant>,
}

impl Conditions {
    /// Schemas whose condition is not true. `found`: whether a level is there. `date` writes the present.
    pub fn due(
        &mut self,
        schemas: &[Value],
        found: impl Fn(&str) -> bool,
        now: Instant,
        date: impl Fn() -> String,
    ) -> Writes {
        self.written.retain(|_, (since, _)| now.saturating_duration_since(*since) < PERIOD);
        let mut writes = Writes { schemas: Vec::new(), again: None };
        for schema in schemas {
            let level = text(schema, "spec.priorityLevelConfiguration.name");
            let Some(condition) = corrected(schema, level, found(level), &date) else { continue };
            let name = text(schema, "metadata.name").to_owned();
            let (since, count) = self.written.entry(name.clone()).or_insert((now, 0));
            if *count >= WRITES_MAX {
                let at = *since + PERIOD;
                writes.again = Some(writes.again.map_or(at, |other| other.min(at)));
                continue;
            }
            *count += 1;
            writes.schemas.push((name, condition));
        }
        writes
    }
}

/// The condition that a schema should have; `None` if it has it.
fn corrected(schema: &Value, level: &str, found: bool, date: impl Fn() -> String) -> Option<Value> {
    let named = format!("This FlowSchema references the PriorityLevelConfiguration object named {level:?}");
    let (status, reason, message) = match found {
        true => ("False", "Found", format!("{named} and it exists")),
        false => ("True", "NotFound", format!("{named} but there is no such object")),
    };
    let own = items(schema, "status.conditions").iter().find(|condition| text(condition, "type") == "Dangling");
    if let Some(own) = own
        && (text(own, "status"), text(own, "reason"), text(own, "message")) == (status, reason, message.as_str())
    {
        return None;
    }
    Some(json!({
        "type": "Dangling", "status": status, "reason": reason, "message": message, "lastTransitionTime": date(),
    }))
}

/// Writes the condition of a schema, and leaves others alone.
pub async fn write(client: &Client, name: &str, condition: &Value) -> Result<(), Refused> {
    let path = format!("{}&force=true", path(SCHEMAS, &format!("/{name}"), "/status", MANAGER));
    let configuration = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"), "kind": "FlowSchema", "metadata": {"name": name},
        "status": {"conditions": [condition]},
    });
    client.apply(&path, &configuration).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(conditions: Value) -> Value {
        json!({
            "metadata": {"name": "s"}, "spec": {"priorityLevelConfiguration": {"name": "l"}},
            "status": {"conditions": conditions},
        })
    }

    #[test]
    fn says_whether_the_level_is_there() {
        let now = Instant::now();
        let due = |object: &Value, found: bool| {
            Conditions::default().due(std::slice::from_ref(object), |_| found, now, || "d".to_owned()).schemas
        };
        let other = json!({"type": "Checked", "status": "True"});
        let found = json!({
            "type": "Dangling", "status": "False", "reason": "Found", "lastTransitionTime": "d",
            "message": "This FlowSchema references the PriorityLevelConfiguration object named \"l\" and it exists",
        });
        assert_eq!(due(&schema(json!([other])), true), [("s".to_owned(), found.clone())]);
        let written = schema(json!([other, found]));
        assert!(due(&written, true).is_empty(), "once is enough");
        let (_, missing) = due(&written, false).remove(0);
        assert_eq!((&missing["status"], &missing["reason"]), (&json!("True"), &json!("NotFound")));
    }

    #[test]
    fn a_fight_is_slow() {
        let mut conditions = Conditions::default();
        let start = Instant::now();
        let mut due = |now| conditions.due(&[schema(json!([]))], |_| true, now, || "d".to_owned());
        for _ in 0..WRITES_MAX {
            assert_eq!(due(start).schemas.len(), 1);
        }
        let late = due(start + PERIOD / 2);
        assert_eq!((late.schemas.len(), late.again), (0, Some(start + PERIOD)));
        assert_eq!(due(start + PERIOD).schemas.len(), 1);
    }
}
