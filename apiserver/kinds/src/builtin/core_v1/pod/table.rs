//! How a Pod looks in a table: the STATUS column tells the most telling thing about its containers.

use serde_json::{Value, json};

use crate::hooks::TablePrinter;
use crate::table::{self, AGE, NAME, or_none, unix_seconds};
use crate::value::{flag, get, int, is_set, items, text};

const SPEC: &str = "io.k8s.api.core.v1.PodSpec";
const STATUS: &str = "io.k8s.api.core.v1.PodStatus";

pub const TABLE: TablePrinter = TablePrinter {
    columns: &[
        NAME,
        table::own("Ready", "string", "The aggregate readiness state of this pod for accepting traffic."),
        table::own("Status", "string", "The aggregate status of the containers in this pod."),
        table::own(
            "Restarts",
            "string",
            "The number of times the containers in this pod have been restarted and when the last container in this pod has restarted.",
        ),
        AGE,
        table::field("IP", "string", STATUS, "podIP").wide(),
        table::field("Node", "string", SPEC, "nodeName").wide(),
        table::field("Nominated Node", "string", STATUS, "nominatedNodeName").wide(),
        table::field("Readiness Gates", "string", SPEC, "readinessGates").wide(),
    ],
    cells,
    conditions: Some(conditions),
};

fn cells(pod: &Value, now: i64) -> Vec<Value> {
    let summary = Summary::of(pod);
    let restarts = match (summary.restarts, summary.last_restart) {
        (0, _) | (_, None) => summary.restarts.to_string(),
        (count, Some(at)) => format!("{count} ({} ago)", kuorum_schema::time::human_duration(now - at)),
    };
    let ip = items(pod, "status.podIPs").first().map_or(text(pod, "status.podIP"), |ip| text(ip, "ip"));
    vec![
        table::name(pod),
        format!("{}/{}", summary.ready, summary.containers).into(),
        summary.reason.into(),
        restarts.into(),
        table::age(pod, now),
        or_none(ip),
        or_none(text(pod, "spec.nodeName")),
        or_none(text(pod, "status.nominatedNodeName")),
        readiness_gates(pod),
    ]
}

/// Finished pods are marked, so that kubectl can hide them.
fn conditions(pod: &Value) -> Option<Value> {
    match text(pod, "status.phase") {
        "Succeeded" => Some(json!([{
            "type": "Completed", "status": "True", "reason": "Succeeded",
            "message": "The pod has completed successfully.",
        }])),
        "Failed" => Some(json!([{
            "type": "Completed", "status": "True", "reason": "Failed", "message": "The pod failed.",
        }])),
        _ => None,
    }
}

fn readiness_gates(pod: &Value) -> Value {
    let gates = items(pod, "spec.readinessGates");
    if gates.is_empty() {
        return "<none>".into();
    }
    let met = gates.iter().filter(|gate| condition_is_true(pod, text(gate, "conditionType"))).count();
    format!("{met}/{}", gates.len()).into()
}

fn condition_is_true(pod: &Value, kind: &str) -> bool {
    items(pod, "status.conditions").iter().any(|c| text(c, "type") == kind && text(c, "status") == "True")
}

struct Summary {
    ready: usize,
    containers: usize,
    reason: String,
    restarts: i64,
    /// Unix seconds.
    last_restart: Option<i64>,
}

impl Summary {
    fn of(pod: &Value) -> Summary {
        let phase = text(pod, "status.phase");
        let mut summary = Summary {
            ready: 0,
            containers: items(pod, "spec.containers").len(),
            reason: if is_set(pod, "status.reason") { text(pod, "status.reason") } else { phase }.to_owned(),
            restarts: 0,
            last_restart: None,
        };
        let gated = |c: &Value| text(c, "type") == "PodScheduled" && text(c, "reason") == "SchedulingGated";
        if items(pod, "status.conditions").iter().any(gated) {
            summary.reason = "SchedulingGated".to_owned();
        }
        let initializing = summary.init_containers(pod);
        if !initializing || condition_is_true(pod, "Initialized") {
            summary.main_containers(pod);
        }
        if is_set(pod, "metadata.deletionTimestamp") {
            if text(pod, "status.reason") == "NodeLost" {
                summary.reason = "Unknown".to_owned();
            } else if !matches!(phase, "Succeeded" | "Failed") {
                summary.reason = "Terminating".to_owned();
            }
        }
        summary
    }

    /// Whether an init container is still at work (or has failed). Leaves the restarts of all init containers in
    /// `restarts`, for the case that it is.
    fn init_containers(&mut self, pod: &Value) -> bool {
        let declared = items(pod, "spec.initContainers");
        let is_sidecar = |status: &Value| {
            declared.iter().any(|c| text(c, "name") == text(status, "name") && text(c, "restartPolicy") == "Always")
        };
        self.containers += declared.iter().filter(|c| text(c, "restartPolicy") == "Always").count();
        for (i, status) in items(pod, "status.initContainerStatuses").iter().enumerate() {
            self.count_restarts(status);
            let terminated = get(status, "state.terminated");
            let waiting = text(status, "state.waiting.reason");
            if terminated.is_object() && int(terminated, "exitCode").unwrap_or(0) == 0 {
                continue;
            }
            if is_sidecar(status) && flag(status, "started") {
                self.ready += usize::from(flag(status, "ready"));
                continue;
            }
            self.reason = if terminated.is_object() {
                format!("Init:{}", exit_reason(terminated))
            } else if !waiting.is_empty() && waiting != "PodInitializing" {
                format!("Init:{waiting}")
            } else {
                format!("Init:{i}/{}", declared.len())
            };
            return true;
        }
        false
    }

    fn main_containers(&mut self, pod: &Value) {
        // From here on only the restarts of sidecars and main containers count.
        (self.restarts, self.last_restart) = (0, None);
        let sidecars: Vec<&str> = items(pod, "spec.initContainers")
            .iter()
            .filter(|c| text(c, "restartPolicy") == "Always")
            .map(|c| text(c, "name"))
            .collect();
        for status in items(pod, "status.initContainerStatuses") {
            if sidecars.contains(&text(status, "name")) {
                self.count_restarts(status);
            }
        }
        let mut any_running = false;
        for status in items(pod, "status.containerStatuses").iter().rev() {
            self.count_restarts(status);
            let terminated = get(status, "state.terminated");
            let waiting = text(status, "state.waiting.reason");
            if !waiting.is_empty() {
                self.reason = waiting.to_owned();
            } else if terminated.is_object() {
                self.reason = exit_reason(terminated);
            } else if flag(status, "ready") && get(status, "state.running").is_object() {
                any_running = true;
                self.ready += 1;
            }
        }
        // Some containers are done, others run: the pod is not completed.
        if self.reason == "Completed" && any_running {
            self.reason = if condition_is_true(pod, "Ready") { "Running" } else { "NotReady" }.to_owned();
        }
    }

    fn count_restarts(&mut self, status: &Value) {
        self.restarts += int(status, "restartCount").unwrap_or(0);
        let finished = unix_seconds(text(status, "lastState.terminated.finishedAt"));
        self.last_restart = self.last_restart.max(finished);
    }
}

/// Why a container ended: its reason, else its signal, else its exit code.
fn exit_reason(terminated: &Value) -> String {
    match (text(terminated, "reason"), int(terminated, "signal").unwrap_or(0)) {
        ("", 0) => format!("ExitCode:{}", int(terminated, "exitCode").unwrap_or(0)),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(pod: Value) -> (String, String, String) {
        let cells = cells(&pod, 1000);
        let text = |i: usize| cells[i].as_str().unwrap_or("").to_owned();
        (text(1), text(2), text(3))
    }

    fn spec() -> Value {
        json!({"initContainers": [{"name": "i"}, {"name": "s", "restartPolicy": "Always"}],
               "containers": [{"name": "a"}, {"name": "b"}]})
    }

    #[test]
    fn init_containers_show_their_progress() {
        let pod = json!({"spec": spec(), "status": {"phase": "Pending", "initContainerStatuses": [
            {"name": "i", "state": {"running": {}}}]}});
        assert_eq!(shown(pod), ("0/3".into(), "Init:0/2".into(), "0".into()));
        let pod = json!({"spec": spec(), "status": {"phase": "Pending", "initContainerStatuses": [
            {"name": "i", "restartCount": 2, "state": {"terminated": {"exitCode": 3}},
             "lastState": {"terminated": {"finishedAt": "1970-01-01T00:15:40Z"}}}]}});
        assert_eq!(shown(pod), ("0/3".into(), "Init:ExitCode:3".into(), "2 (60s ago)".into()));
    }

    #[test]
    fn worst_container_wins() {
        let pod = json!({"spec": spec(), "status": {"phase": "Running", "initContainerStatuses": [
            {"name": "i", "state": {"terminated": {"exitCode": 0}}},
            {"name": "s", "started": true, "ready": true, "state": {"running": {}}}],
            "containerStatuses": [{"name": "a", "restartCount": 4, "state": {"waiting": {"reason": "CrashLoopBackOff"}}},
                                  {"name": "b", "ready": true, "state": {"running": {}}}]}});
        assert_eq!(shown(pod), ("2/3".into(), "CrashLoopBackOff".into(), "4".into()));
    }

    #[test]
    fn deletion_and_partial_completion() {
        let pod = json!({"metadata": {"deletionTimestamp": "1970-01-01T00:00:00Z"}, "spec": spec(),
                         "status": {"phase": "Running"}});
        assert_eq!(shown(pod).1, "Terminating");
        let pod = json!({"spec": spec(), "status": {"phase": "Running", "containerStatuses": [
            {"name": "a", "state": {"terminated": {"reason": "Completed", "exitCode": 0}}},
            {"name": "b", "ready": true, "state": {"running": {}}}]}});
        assert_eq!(shown(pod).1, "NotReady");
    }
}
