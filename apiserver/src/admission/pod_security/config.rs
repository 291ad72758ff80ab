//! `PodSecurityConfiguration`: the policy of namespaces without labels, and who is exempt.

use serde::Deserialize;
use serde_json::Value;

use super::policy::{PREFIX, Policy};
use crate::admission::settings;

const VERSIONS: [(&str, &str); 3] = [
    ("pod-security.admission.config.k8s.io/v1", "PodSecurityConfiguration"),
    ("pod-security.admission.config.k8s.io/v1beta1", "PodSecurityConfiguration"),
    ("pod-security.admission.config.k8s.io/v1alpha1", "PodSecurityConfiguration"),
];

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    /// `enforce`, `enforce-version`, and so on.
    defaults: std::collections::BTreeMap<String, String>,
    exemptions: Exemptions,
}

/// Whose pods are not looked at.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Exemptions {
    pub usernames: Vec<String>,
    pub runtime_classes: Vec<String>,
    pub namespaces: Vec<String>,
}

/// Reads the plugin's settings; without any nothing is refused by default, and nobody is exempt.
pub fn read(settings: Option<&Value>) -> Result<(Policy, Exemptions), String> {
    let File { defaults, exemptions } = settings::versioned(settings, &VERSIONS)?;
    const KEYS: [&str; 6] = ["enforce", "enforce-version", "audit", "audit-version", "warn", "warn-version"];
    if let Some(unknown) = defaults.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(format!("unknown field \"defaults.{unknown}\""));
    }
    let of_label = |label: &str| label.strip_prefix(PREFIX).and_then(|key| defaults.get(key)).map(String::as_str);
    let given = |label: &str| of_label(label).filter(|value| !value.is_empty());
    let (policy, errors) = Policy::PRIVILEGED.with_labels(given);
    if let Some(error) = errors.first() {
        let key = error.label.strip_prefix(PREFIX).unwrap_or_default();
        return Err(format!("defaults.{key}: Invalid value: {:?}: {}", error.value, error.why));
    }
    for (list, name) in [
        (&exemptions.usernames, "usernames"),
        (&exemptions.runtime_classes, "runtimeClasses"),
        (&exemptions.namespaces, "namespaces"),
    ] {
        for (at, entry) in list.iter().enumerate() {
            if entry.is_empty() {
                return Err(format!("exemptions.{name}[{at}]: Invalid value: \"\": must not be empty"));
            }
            if list[..at].contains(entry) {
                return Err(format!("exemptions.{name}[{at}]: Duplicate value: {entry:?}"));
            }
        }
    }
    Ok((policy, exemptions))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn with(mut settings: Value) -> Result<(Policy, Exemptions), String> {
        settings["apiVersion"] = json!("pod-security.admission.config.k8s.io/v1");
        settings["kind"] = json!("PodSecurityConfiguration");
        read(Some(&settings))
    }

    #[test]
    fn defaults_and_exemptions() {
        assert!(read(None).unwrap().0.is_privileged());
        let (policy, exemptions) = with(json!({
            "defaults": {"enforce": "baseline", "enforce-version": "v1.30", "warn": "restricted", "audit": ""},
            "exemptions": {"usernames": ["u"], "namespaces": ["kube-system"], "runtimeClasses": []},
        }))
        .unwrap();
        assert_eq!(
            (policy.enforce.to_string().as_str(), policy.warn.to_string().as_str()),
            ("baseline:v1.30", "restricted:latest")
        );
        assert_eq!(
            (exemptions.usernames, exemptions.namespaces),
            (vec!["u".to_owned()], vec!["kube-system".to_owned()])
        );
    }

    #[test]
    fn mistakes_are_told() {
        let rows = [
            (
                json!({"defaults": {"enforce": "Baseline"}}),
                "defaults.enforce: Invalid value: \"Baseline\": must be one of",
            ),
            (json!({"defaults": {"warn-version": "1.2"}}), "defaults.warn-version: Invalid value"),
            (json!({"defaults": {"enforces": "baseline"}}), "unknown field \"defaults.enforces\""),
            (json!({"exemptions": {"users": []}}), "unknown field `users`"),
            (json!({"exemptions": {"namespaces": ["a", "a"]}}), "exemptions.namespaces[1]: Duplicate value: \"a\""),
        ];
        for (settings, part) in rows {
            let why = with(settings).unwrap_err();
            assert!(why.contains(part), "{why}");
        }
    }
}
