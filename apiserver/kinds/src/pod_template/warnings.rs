//! Warnings about pod specs, in Pods and in templates.

use serde_json::Value;

use super::defaults::CONTAINER_LISTS;
use crate::value::{entries, get, int, is_set, items, text};

/// `spec_field` and `meta_field` are where the two parts stand in the object (`spec.template.spec`).
pub fn pod(meta: &Value, spec: &Value, spec_field: &str, meta_field: &str) -> Vec<String> {
    let mut warnings = Vec::new();
    volumes(spec, spec_field, &mut warnings);
    pull_secrets(spec, spec_field, &mut warnings);
    for list in &CONTAINER_LISTS[..2] {
        for (i, container) in items(spec, list).iter().enumerate() {
            self::container(container, &format!("{spec_field}.{list}[{i}]"), &mut warnings);
        }
    }
    for (key, _) in entries(meta, "annotations") {
        if key.starts_with("container.apparmor.security.beta.kubernetes.io/") {
            warnings.push(format!(
                "{meta_field}.annotations[{key}]: deprecated since v1.30; use the \"appArmorProfile\" field instead"
            ));
        }
    }
    warnings
}

fn volumes(spec: &Value, field: &str, warnings: &mut Vec<String>) {
    const GONE: [(&str, &str, &str); 7] = [
        ("cephfs", "cephfs", "deprecated in v1.28, non-functional in v1.31+"),
        ("gitRepo", "gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"),
        ("glusterfs", "glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
        ("quobyte", "quobyte", "deprecated in v1.22, non-functional in v1.25+"),
        ("rbd", "rbd", "deprecated in v1.28, non-functional in v1.31+"),
        ("scaleIO", "scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
        ("storageos", "storageOS", "deprecated in v1.22, non-functional in v1.25+"),
    ];
    for (i, volume) in items(spec, "volumes").iter().enumerate() {
        for (source, shown, message) in GONE {
            if volume.get(source).is_some() {
                warnings.push(format!("{field}.volumes[{i}].{shown}: {message}"));
            }
        }
        let empty = |source: &Value| source.as_object().is_some_and(|s| s.is_empty());
        if items(volume, "projected.sources").iter().any(empty) {
            warnings.push(format!("volume \"{}\" (Projected) has no sources provided", text(volume, "name")));
        }
    }
}

fn pull_secrets(spec: &Value, field: &str, warnings: &mut Vec<String>) {
    let names: Vec<&str> = items(spec, "imagePullSecrets").iter().map(|s| text(s, "name")).collect();
    for (i, name) in names.iter().enumerate() {
        if names[..i].contains(name) {
            warnings.push(format!("{field}.imagePullSecrets[{i}].name: duplicate name \"{name}\""));
        }
    }
    for (i, name) in names.iter().enumerate() {
        if name.is_empty() {
            warnings.push(format!("{field}.imagePullSecrets[{i}].name: invalid empty name \"\""));
        }
    }
}

fn container(container: &Value, field: &str, warnings: &mut Vec<String>) {
    for list in ["limits", "requests"] {
        for name in ["memory", "ephemeral-storage"] {
            let value = get(get(container, "resources"), list).get(name).unwrap_or(&Value::Null);
            if let Some(amount) = super::resources::quantity(value)
                && amount.milli_value() % 1000 != 0
            {
                warnings.push(format!(
                    "{field}.resources.{list}[{name}]: fractional byte value {:?} is invalid, must be an integer",
                    amount.canonical()
                ));
            }
        }
    }
    let env = items(container, "env");
    for (i, variable) in env.iter().enumerate() {
        let name = text(variable, "name");
        let hides = env[..i].iter().any(|v| text(v, "name") == name);
        // `A=$(A) more` refers to the earlier one on purpose.
        if hides && !text(variable, "value").contains(&format!("$({name})")) {
            warnings.push(format!(
                "{field}.env[{i}]: hides previous definition of \"{name}\", which may be dropped when using apply"
            ));
        }
    }
    ports(container, field, warnings);
}

fn ports(container: &Value, field: &str, warnings: &mut Vec<String>) {
    let list = items(container, "ports");
    let number = |port: &Value, key: &str| int(port, key).unwrap_or(0);
    for (i, port) in list.iter().enumerate() {
        if is_set(port, "hostIP") && number(port, "hostPort") == 0 {
            warnings.push(format!(
                "{field}.ports[{i}]: hostIP set without hostPort: {{Name:{} HostPort:0 ContainerPort:{} Protocol:{} HostIP:{}}}",
                text(port, "name"),
                number(port, "containerPort"),
                text(port, "protocol"),
                text(port, "hostIP"),
            ));
        }
        let same = |other: &Value| {
            number(other, "containerPort") == number(port, "containerPort")
                && text(other, "protocol") == text(port, "protocol")
                && number(other, "hostPort") == number(port, "hostPort")
                && text(other, "hostIP") == text(port, "hostIP")
        };
        if let Some(first) = list[..i].iter().position(same) {
            warnings.push(format!("{field}.ports[{i}]: duplicate port definition with {field}.ports[{first}]"));
        }
    }
}
