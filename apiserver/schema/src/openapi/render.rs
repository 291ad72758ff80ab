//! Paths and operations in the words of OpenAPI version 2 and version 3.

use serde_json::{Map as JsonMap, Value, json};

use super::Dialect;
use super::definitions::{Definitions, META};
use super::operations::{Answer, Body, Operation, Parameter, Path};

const JSON: &str = "application/json";
const YAML: &str = "application/yaml";
const WATCH: &str = "application/json;stream=watch";

/// A path item: the operations by method, and the parameters that they share.
pub(super) fn path_item(path: &Path, tag: &str, definitions: &mut Definitions<'_>, dialect: Dialect) -> Value {
    let mut item = JsonMap::new();
    for operation in &path.operations {
        let rendered = match dialect {
            Dialect::V2 => operation_v2(operation, tag, definitions),
            Dialect::V3 => operation_v3(operation, tag, definitions),
        };
        item.insert(operation.method.to_owned(), rendered);
    }
    if !path.parameters.is_empty() {
        item.insert("parameters".into(), parameters(&path.parameters, dialect).into());
    }
    item.into()
}

fn parameters(parameters: &[Parameter], dialect: Dialect) -> Vec<Value> {
    parameters.iter().map(|one| parameter(one, dialect)).collect()
}

fn parameter(parameter: &Parameter, dialect: Dialect) -> Value {
    let mut out = json!({"name": parameter.name, "in": parameter.place, "description": parameter.text});
    match dialect {
        Dialect::V2 => {
            out["type"] = parameter.kind.into();
            out["uniqueItems"] = true.into();
        }
        Dialect::V3 => out["schema"] = json!({"type": parameter.kind, "uniqueItems": true}),
    }
    if parameter.place == "path" {
        out["required"] = true.into();
    }
    out
}

/// What both versions say alike.
fn common(operation: &Operation, tag: &str) -> JsonMap<String, Value> {
    let (group, version, kind) = &operation.kind;
    let mut out = JsonMap::new();
    out.insert("operationId".into(), operation.id.as_str().into());
    out.insert("description".into(), operation.text.as_str().into());
    out.insert("tags".into(), json!([tag]));
    if !operation.action.is_empty() {
        out.insert("x-kubernetes-action".into(), operation.action.into());
        let served = json!({"group": group, "version": version, "kind": kind});
        out.insert("x-kubernetes-group-version-kind".into(), served);
    }
    out
}

fn patch_types(strategic: bool) -> Vec<&'static str> {
    let mut types = vec!["application/json-patch+json", "application/merge-patch+json"];
    if strategic {
        types.push("application/strategic-merge-patch+json");
    }
    types.push("application/apply-patch+yaml");
    types
}

/// The content types of an answer.
fn answer_types(answer: &Answer) -> &'static [&'static str] {
    match answer {
        Answer::Object(_) => &[JSON, YAML],
        Answer::Collection(_) => &[JSON, YAML, WATCH],
        Answer::Stream => &["*/*"],
    }
}

fn answer_schema(answer: &Answer, definitions: &mut Definitions<'_>) -> Value {
    match answer {
        Answer::Object(name) | Answer::Collection(name) => definitions.reference(name),
        Answer::Stream => json!({"type": "string"}),
    }
}

fn code_text(code: u16) -> &'static str {
    match code {
        201 => "Created",
        202 => "Accepted",
        _ => "OK",
    }
}

fn operation_v2(operation: &Operation, tag: &str, definitions: &mut Definitions<'_>) -> Value {
    let mut out = common(operation, tag);
    let schema = answer_schema(&operation.answer, definitions);
    let mut responses = JsonMap::new();
    for code in [200].iter().chain(operation.codes) {
        responses.insert(code.to_string(), json!({"description": code_text(*code), "schema": schema}));
    }
    responses.insert("401".into(), json!({"description": "Unauthorized"}));
    out.insert("responses".into(), responses.into());
    out.insert("schemes".into(), json!(["https"]));
    out.insert("produces".into(), json!(answer_types(&operation.answer)));
    let mut given = Vec::new();
    let consumes = match &operation.body {
        Some(Body::Object(name, required)) => {
            let mut body = json!({"name": "body", "in": "body", "schema": definitions.reference(name)});
            if *required {
                body["required"] = true.into();
            }
            given.push(body);
            json!([JSON, YAML])
        }
        Some(Body::Patch { strategic }) => {
            let schema = definitions.reference(&format!("{META}Patch"));
            given.push(json!({"name": "body", "in": "body", "required": true, "schema": schema}));
            json!(patch_types(*strategic))
        }
        None => json!(["*/*"]),
    };
    out.insert("consumes".into(), consumes);
    given.extend(parameters(&operation.parameters, Dialect::V2));
    if !given.is_empty() {
        out.insert("parameters".into(), given.into());
    }
    out.into()
}

fn operation_v3(operation: &Operation, tag: &str, definitions: &mut Definitions<'_>) -> Value {
    let mut out = common(operation, tag);
    let schema = answer_schema(&operation.answer, definitions);
    let of_types = |types: &[&str], schema: &Value| -> Value {
        types.iter().map(|media| ((*media).to_owned(), json!({"schema": schema}))).collect()
    };
    let content = of_types(answer_types(&operation.answer), &schema);
    let mut responses = JsonMap::new();
    for code in [200].iter().chain(operation.codes) {
        responses.insert(code.to_string(), json!({"description": code_text(*code), "content": content}));
    }
    responses.insert("401".into(), json!({"description": "Unauthorized"}));
    out.insert("responses".into(), responses.into());
    if !operation.parameters.is_empty() {
        out.insert("parameters".into(), parameters(&operation.parameters, Dialect::V3).into());
    }
    match &operation.body {
        Some(Body::Object(name, required)) => {
            let mut body = json!({"content": of_types(&[JSON, YAML], &definitions.reference(name))});
            if *required {
                body["required"] = true.into();
            }
            out.insert("requestBody".into(), body);
        }
        Some(Body::Patch { strategic }) => {
            let schema = definitions.reference(&format!("{META}Patch"));
            let content = of_types(&patch_types(*strategic), &schema);
            out.insert("requestBody".into(), json!({"content": content, "required": true}));
        }
        None => {}
    }
    out.into()
}
