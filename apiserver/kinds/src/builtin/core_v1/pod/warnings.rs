//! Warnings about Pods that are legal but unlikely to be meant.

use serde_json::Value;

use crate::value::get;

pub fn warnings(pod: &Value, _: Option<&Value>) -> Vec<String> {
    crate::pod_template::warnings::pod(get(pod, "metadata"), get(pod, "spec"), "spec", "metadata")
}
