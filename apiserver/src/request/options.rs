//! Options of the verbs, read from the query (and for deletes from the body), with the validation of
//! `meta/v1/validation` and its texts.

use kuorum_kinds::field::{ErrorKind, Errors, FieldError};
use serde_json::json;

use super::query::Query;
use crate::status::ApiError;

/// Options of GET, LIST and WATCH. Selectors are kept as text: the verb parses them against the kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListOptions {
    pub label_selector: String,
    pub field_selector: String,
    pub watch: bool,
    pub allow_watch_bookmarks: bool,
    /// As given; empty where absent.
    pub resource_version: String,
    pub resource_version_match: String,
    /// Seconds.
    pub timeout_seconds: Option<i64>,
    /// 0: no limit. Negative values are what the client sent.
    pub limit: i64,
    pub continue_token: String,
    pub send_initial_events: Option<bool>,
}

impl ListOptions {
    /// Reads them; 400 where a number does not parse. Call [`ListOptions::validate`] before use.
    pub fn parse(query: &Query<'_>) -> Result<Self, ApiError> {
        if query.is_empty() {
            return Ok(ListOptions::default());
        }
        Ok(ListOptions {
            label_selector: query.text("labelSelector").to_owned(),
            field_selector: query.text("fieldSelector").to_owned(),
            watch: query.flag("watch"),
            allow_watch_bookmarks: query.flag("allowWatchBookmarks"),
            resource_version: query.text("resourceVersion").to_owned(),
            resource_version_match: query.text("resourceVersionMatch").to_owned(),
            timeout_seconds: query.integer("timeoutSeconds")?,
            limit: query.integer("limit")?.unwrap_or(0),
            continue_token: query.text("continue").to_owned(),
            send_initial_events: query.optional_flag("sendInitialEvents"),
        })
    }

    /// The legal combinations of version, match, continue and initial events; 422 on `ListOptions` otherwise.
    pub fn validate(&self, watching: bool) -> Result<(), ApiError> {
        let errors = if watching { self.watch_errors() } else { self.list_errors() };
        if errors.is_empty() { Ok(()) } else { Err(ApiError::invalid("meta.k8s.io", "ListOptions", "", &errors)) }
    }

    fn list_errors(&self) -> Errors {
        let mut errors = Errors::new();
        let forbidden = |field: &str, why: &str| FieldError::forbidden(field, why);
        let matching = self.resource_version_match.as_str();
        if !matching.is_empty() {
            if self.resource_version.is_empty() {
                errors.push(forbidden(
                    "resourceVersionMatch",
                    "resourceVersionMatch is forbidden unless resourceVersion is provided",
                ));
            }
            if !self.continue_token.is_empty() {
                errors.push(forbidden(
                    "resourceVersionMatch",
                    "resourceVersionMatch is forbidden when continue is provided",
                ));
            }
            if !matches!(matching, "Exact" | "NotOlderThan") {
                errors.push(FieldError::not_supported(
                    "resourceVersionMatch",
                    &json!(matching),
                    &["Exact", "NotOlderThan", ""],
                ));
            }
            if matching == "Exact" && self.resource_version == "0" {
                errors.push(forbidden(
                    "resourceVersionMatch",
                    "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
                ));
            }
        }
        if self.send_initial_events.is_some() {
            errors.push(forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
        }
        errors
    }

    fn watch_errors(&self) -> Errors {
        let mut errors = Errors::new();
        let forbidden = |field: &str, why: &str| FieldError::forbidden(field, why);
        let matching = self.resource_version_match.as_str();
        if self.send_initial_events.is_some() {
            if matching.is_empty() {
                errors.push(forbidden(
                    "resourceVersionMatch",
                    "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
                ));
            } else if matching != "NotOlderThan" {
                errors.push(FieldError::not_supported("resourceVersionMatch", &json!(matching), &["NotOlderThan"]));
            }
        } else if !matching.is_empty() {
            errors.push(forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            ));
        }
        if !self.continue_token.is_empty() {
            errors.push(forbidden("continue", "continue is forbidden for watch"));
        }
        errors
    }

    /// The version as a number: `None` for "", 400 in the words of the real server where it is none.
    pub fn version(&self) -> Result<Option<u64>, ApiError> {
        if self.resource_version.is_empty() {
            return Ok(None);
        }
        super::query::parse_uint(&self.resource_version).map(Some).map_err(|why| {
            ApiError::bad_request(format!(
                "invalid resource version: resourceVersion: Invalid value: {:?}: {why}",
                self.resource_version
            ))
        })
    }
}

/// How unknown and duplicate fields of a body are treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldValidation {
    Ignore,
    #[default]
    Warn,
    Strict,
}

/// Options of create, update and patch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteOptions {
    pub dry_run: bool,
    pub field_manager: String,
    pub field_validation: FieldValidation,
    pub force: Option<bool>,
}

/// The longest `fieldManager`, in bytes.
pub const FIELD_MANAGER_BYTES_MAX: usize = 128;

impl WriteOptions {
    /// Reads and validates them. `kind` names them in a refusal: `CreateOptions`, `UpdateOptions`, `PatchOptions`.
    pub fn parse(query: &Query<'_>, kind: &'static str, apply: bool) -> Result<Self, ApiError> {
        let mut options = WriteOptions::default();
        if query.is_empty() && !apply {
            return Ok(options);
        }
        let mut errors = Errors::new();
        if kind == "PatchOptions" {
            options.force = query.optional_flag("force");
            if apply && query.text("fieldManager").is_empty() {
                errors.push(FieldError::required("fieldManager", "is required for apply patch"));
            } else if !apply && options.force.is_some() {
                errors.push(FieldError::forbidden("force", "may not be specified for non-apply patch"));
            }
        }
        options.field_manager = query.text("fieldManager").to_owned();
        errors.extend(field_manager_errors(&options.field_manager));
        errors.extend(dry_run_errors(query.all("dryRun")));
        options.dry_run = query.get("dryRun").is_some();
        options.field_validation = match query.text("fieldValidation") {
            "" | "Warn" => FieldValidation::Warn,
            "Ignore" => FieldValidation::Ignore,
            "Strict" => FieldValidation::Strict,
            other => {
                errors.push(FieldError::not_supported(
                    "fieldValidation",
                    &json!(other),
                    &["", "Ignore", "Strict", "Warn"],
                ));
                FieldValidation::Warn
            }
        };
        if errors.is_empty() { Ok(options) } else { Err(ApiError::invalid("meta.k8s.io", kind, "", &errors)) }
    }
}

/// The complaint about values of `dryRun` other than the one `All`.
pub fn dry_run_errors<'q>(values: impl Iterator<Item = &'q str>) -> Errors {
    let values: Vec<&str> = values.collect();
    if values.is_empty() || values.iter().all(|v| *v == "All") {
        return Errors::new();
    }
    vec![FieldError::not_supported("dryRun", &json!(values), &["All"])]
}

fn field_manager_errors(manager: &str) -> Errors {
    let mut errors = Errors::new();
    if manager.len() > FIELD_MANAGER_BYTES_MAX {
        errors.push(FieldError::too_long("fieldManager", FIELD_MANAGER_BYTES_MAX));
    }
    for (at, c) in manager.char_indices() {
        if !is_print(c) {
            errors.push(FieldError {
                kind: ErrorKind::Invalid,
                field: "fieldManager".to_owned(),
                message: format!("Invalid value: {manager:?}: invalid character U+{:04X} (at position {at})", c as u32),
            });
        }
    }
    errors
}

/// `unicode.IsPrint`, as near as the standard library tells: no controls, of the spaces only U+0020.
pub fn is_print(c: char) -> bool {
    c == ' ' || !(c.is_control() || c.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forbidden_combinations_of_list_options() {
        let table = [
            ("resourceVersionMatch=Exact", "resourceVersionMatch is forbidden unless resourceVersion is provided"),
            ("resourceVersionMatch=Exact&resourceVersion=0", "is forbidden for resourceVersion \"0\""),
            ("resourceVersionMatch=Near&resourceVersion=1", "supported values: \"Exact\", \"NotOlderThan\", \"\""),
            ("sendInitialEvents=true", "sendInitialEvents is forbidden for list"),
        ];
        for (query, want) in table {
            let options = ListOptions::parse(&Query::parse(query)).unwrap();
            let error = options.validate(false).unwrap_err().to_string();
            assert!(error.contains(want), "{query}: {error}");
        }
    }

    #[test]
    fn dry_run_is_all_or_nothing() {
        let parse = |q: &str| WriteOptions::parse(&Query::parse(q), "CreateOptions", false);
        assert!(parse("dryRun=All&dryRun=All").unwrap().dry_run);
        assert_eq!(
            parse("dryRun=Some").unwrap_err().to_string(),
            r#"CreateOptions.meta.k8s.io "" is invalid: dryRun: Unsupported value: ["Some"]: supported values: "All""#
        );
    }
}
