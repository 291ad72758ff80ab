//! Settings of plugins: the `AdmissionConfiguration` of `--admission-control-config-file`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::config::{Config, ConfigError};

const FLAG: &str = "admission-control-config-file";
const VERSIONS: [&str; 2] = ["apiserver.config.k8s.io/v1", "apiserver.config.k8s.io/v1alpha1"];

/// Settings by the name of their plugin.
#[derive(Debug, Default)]
pub struct Settings(BTreeMap<String, Value>);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AdmissionConfiguration {
    api_version: String,
    kind: String,
    #[serde(default)]
    plugins: Vec<PluginConfiguration>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PluginConfiguration {
    name: String,
    /// A file with the settings, relative to this one.
    #[serde(default)]
    path: String,
    /// The settings themselves; they go before a file.
    #[serde(default)]
    configuration: Option<Value>,
}

impl Settings {
    /// Reads the file that the flag names, and the files that it names. No flag: no settings.
    pub fn load(config: &Config) -> Result<Self, ConfigError> {
        let Some(path) = &config.admission_control_config_file else { return Ok(Settings::default()) };
        let invalid = |why: String| ConfigError::Invalid { flag: FLAG, why };
        let file = read(path).map_err(invalid)?;
        let found: AdmissionConfiguration =
            serde_json::from_value(file).map_err(|e| invalid(format!("{}: {e}", path.display())))?;
        if found.kind != "AdmissionConfiguration" || !VERSIONS.contains(&found.api_version.as_str()) {
            let why = format!("{}: is a {} {}", path.display(), found.api_version, found.kind);
            return Err(invalid(format!("{why}, not an AdmissionConfiguration of {}", VERSIONS[0])));
        }
        let mut settings = BTreeMap::new();
        for plugin in found.plugins {
            let own = match plugin.configuration {
                Some(own) if !own.is_null() => own,
                _ if plugin.path.is_empty() => continue,
                _ => {
                    let beside = path.parent().unwrap_or(Path::new("")).join(&plugin.path);
                    read(&beside).map_err(|why| invalid(format!("{}: {why}", plugin.name)))?
                }
            };
            if settings.insert(plugin.name.clone(), own).is_some() {
                return Err(invalid(format!("{}: {} is set up twice", path.display(), plugin.name)));
            }
        }
        Ok(Settings(settings))
    }

    pub fn of(&self, plugin: &str) -> Option<&Value> {
        self.0.get(plugin)
    }
}

fn read(path: &Path) -> Result<Value, String> {
    let text = std::fs::read(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    let document = kuorum_schema::yaml::to_json(&text).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(document.value)
}

/// Settings of one of the `versions` (apiVersion and kind) as a struct that does not name them; without settings its
/// default.
pub fn versioned<T: DeserializeOwned + Default>(
    settings: Option<&Value>,
    versions: &[(&str, &str)],
) -> Result<T, String> {
    let Some(settings) = settings else { return Ok(T::default()) };
    let mut settings = settings.clone();
    let Value::Object(fields) = &mut settings else { return Err("must be an object".to_owned()) };
    let mut take = |key| match fields.remove(key) {
        Some(Value::String(text)) => text,
        _ => String::new(),
    };
    let (version, kind) = (take("apiVersion"), take("kind"));
    if !versions.contains(&(version.as_str(), kind.as_str())) {
        let known: Vec<String> = versions.iter().map(|(version, kind)| format!("{version} {kind}")).collect();
        return Err(format!("is a {:?}, not one of: {}", format!("{version} {kind}"), known.join(", ")));
    }
    serde_json::from_value(settings).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn load(files: &[(&str, &str)]) -> Result<Settings, String> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let file = Some(dir.path().join(files[0].0));
        let loaded = Settings::load(&Config { admission_control_config_file: file, ..Config::default() });
        loaded.map_err(|e| e.to_string().replace(&dir.path().display().to_string(), "DIR"))
    }

    const HEAD: &str = "apiVersion: apiserver.config.k8s.io/v1\nkind: AdmissionConfiguration\n";

    #[test]
    fn settings_are_inline_or_in_files_beside() {
        let main = format!(
            "{HEAD}plugins:\n- name: A\n  configuration: {{x: 1}}\n- name: B\n  path: b.yaml\n- name: C\n- name: D\n  path: ''\n"
        );
        let settings = load(&[("main.yaml", &main), ("b.yaml", "{z: [2]}")]).unwrap();
        assert_eq!(settings.of("A"), Some(&json!({"x": 1})));
        assert_eq!(settings.of("B"), Some(&json!({"z": [2]})));
        assert_eq!(settings.of("C").or(settings.of("D")), None);
    }

    #[test]
    fn what_means_nothing_is_refused() {
        let rows = [
            ("kind: Pod\napiVersion: v1\n".to_owned(), "DIR/main.yaml: is a v1 Pod, not an AdmissionConfiguration"),
            (format!("{HEAD}plugin: []\n"), "unknown field `plugin`"),
            (format!("{HEAD}plugins: [{{name: A, path: none.yaml}}]\n"), "A: cannot read DIR/none.yaml"),
            (
                format!("{HEAD}plugins: [{{name: A, configuration: {{}}}}, {{name: A, configuration: {{}}}}]\n"),
                "A is set up twice",
            ),
        ];
        for (text, part) in rows {
            let error = load(&[("main.yaml", &text)]).unwrap_err();
            assert!(error.starts_with("--admission-control-config-file: ") && error.contains(part), "{error}");
        }
    }

    #[test]
    fn versions_are_checked() {
        #[derive(Debug, Default, Deserialize, PartialEq)]
        #[serde(deny_unknown_fields)]
        struct Own {
            x: i32,
        }
        let read = |settings: Value| versioned::<Own>(Some(&settings), &[("a/v1", "K")]);
        assert_eq!(versioned::<Own>(None, &[]), Ok(Own { x: 0 }));
        assert_eq!(read(json!({"apiVersion": "a/v1", "kind": "K", "x": 3})), Ok(Own { x: 3 }));
        for bad in [
            json!({"apiVersion": "a/v2", "kind": "K", "x": 3}),
            json!([]),
            json!({"apiVersion": "a/v1", "kind": "K", "x": 3, "y": 1}),
        ] {
            assert!(read(bad).is_err());
        }
    }
}
