//! The patches in the recordings of a real server, applied to what the server answered before.
//!
//! What the server adds (defaults, versions) is not compared: everything we made must be there, and lists must be as
//! long and in the same order; what the patch made go must be gone.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{JsonPatch, MergePatch, PatchError, StrategicPatch, strategic};
use crate::codec;
use crate::model::Schema;

/// What stands for times in the recordings.
const TIME: &str = "2020-01-02T03:04:05.000000Z";

#[derive(Default)]
struct Tally {
    applied: usize,
    refused: usize,
    wrong: Vec<String>,
}

#[test]
fn the_recorded_patches_do_what_the_real_server_did() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/oracle/scenarios");
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut tally = Tally::default();
    // The other scenarios patch what the server then changes again: certificates, Secrets' stringData, Services.
    let about_patches = |name: &str| name.starts_with("machinery-") || name.starts_with("kind-");
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "yaml")) {
        if about_patches(&file.file_stem().unwrap().to_string_lossy()) {
            replay(file, &mut tally);
        }
    }
    assert!(tally.wrong.is_empty(), "{} of {}:\n{}", tally.wrong.len(), tally.applied, tally.wrong.join("\n"));
    assert!(tally.applied > 230 && tally.refused > 20, "{} applied, {} refused", tally.applied, tally.refused);
}

fn replay(file: &Path, tally: &mut Tally) {
    let text = quote_y_and_n(&std::fs::read_to_string(file).unwrap());
    let scenario =
        crate::yaml::to_json(text.as_bytes()).unwrap_or_else(|error| panic!("{}: {error}", file.display())).value;
    let answers = std::fs::read_to_string(file.with_extension("answers.json")).unwrap();
    let answers: Value = serde_json::from_str(&answers.replace("<time>", TIME).replace("<ip>", "10.0.0.1")).unwrap();
    // What is stored under a path, as far as the answers tell.
    let mut objects: HashMap<String, Value> = HashMap::new();
    for (step, answer) in scenario["steps"].as_array().unwrap().iter().zip(answers.as_array().unwrap()) {
        let Some((method, url)) = step["do"].as_str().and_then(|line| line.split_once(' ')) else { continue };
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        let body = &answer["body"];
        let name = format!("{}: {} {}", file.file_stem().unwrap().display(), step["do"], step["body"]);
        if method == "PATCH" && step["pad"].is_null() {
            check(&name, step, answer, objects.get(path), tally);
        }
        if !matches!(answer["status"].as_i64(), Some(200 | 201)) || query.contains("dryRun") {
            continue;
        }
        let stored = body["metadata"]["name"].as_str().unwrap_or_default();
        let whole = kind(body).is_some();
        match method {
            "POST" if whole => _ = objects.insert(format!("{path}/{stored}"), body.clone()),
            "PUT" | "PATCH" | "GET" if whole && path.ends_with(&format!("/{stored}")) => {
                objects.insert(path.to_owned(), body.clone());
            }
            "GET" => {}
            // The answer does not tell all that changed.
            _ => objects.retain(|known, _| !path.starts_with(known.as_str()) && !known.starts_with(path)),
        }
    }
}

/// The scenarios were printed by a YAML 1.1 library that takes a lone `y` or `n` for text, unlike go-yaml.
fn quote_y_and_n(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut quoted = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        let lone = matches!(c, 'y' | 'n')
            && at > 0
            && matches!(bytes[at - 1], b' ' | b'[' | b'{')
            && matches!(bytes.get(at + 1), Some(b',' | b'}' | b']' | b':' | b'\n'));
        if lone {
            quoted.extend(['\'', c, '\'']);
        } else {
            quoted.push(c);
        }
    }
    quoted
}

fn check(name: &str, step: &Value, answer: &Value, before: Option<&Value>, tally: &mut Tally) {
    let body = match &step["body"] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let content_type = step["headers"]["Content-Type"].as_str().unwrap_or_default();
    let Some(before) = before.filter(|_| !body.contains("{ns}") && !body.contains("{r")) else { return };
    // What the server does after the patch is not ours: a request's signer is fixed, stringData becomes data, and
    // admission adds tolerations.
    let changed_afterwards = ["certificatesigningrequests", "stringData", "\"tolerations\":[{\"key\":\"lab\""];
    if changed_afterwards.iter().any(|fragment| name.contains(fragment)) {
        return;
    }
    if answer["status"] == 200 && answer["body"]["kind"] != before["kind"] {
        return;
    }
    let schema = kind(before);
    let made = match (content_type, &schema) {
        ("application/json-patch+json", _) => JsonPatch::decode(body.as_bytes()).and_then(|p| p.apply(before.clone())),
        ("application/merge-patch+json", _) => {
            MergePatch::decode(body.as_bytes()).and_then(|p| p.apply(before.clone()))
        }
        ("application/strategic-merge-patch+json", Some(schema)) => {
            StrategicPatch::decode(body.as_bytes()).and_then(|p| p.apply(before.clone(), schema))
        }
        _ => return,
    };
    let status = answer["status"].as_i64().unwrap_or_default();
    let message = answer["body"]["message"].as_str().unwrap_or_default();
    let complaint = match made {
        Ok(made) if status == 200 => {
            tally.applied += 1;
            let after = &answer["body"];
            let kept = schema.as_deref().map_or(Some(made.clone()), |schema| {
                codec::decode_value(&made, schema).ok().map(|decoded| decoded.value)
            });
            match kept {
                Some(kept) => difference(&kept, after, &mut String::new()).or_else(|| removed(before, &made, after)),
                None => Some("does not decode".to_owned()),
            }
        }
        Ok(made) => {
            let words = schema.as_deref().and_then(|schema| strategic::check_types(&made, schema).err());
            let converter = content_type.contains("strategic") && message.contains("cannot restore");
            (converter && !words.as_deref().is_some_and(|words| message.ends_with(words)))
                .then(|| format!("converter says {message}, we {words:?}"))
        }
        Err(error) => {
            tally.refused += 1;
            let expected = match error {
                PatchError::BadRequest(_) => 400,
                PatchError::TooLarge(_) => 413,
                PatchError::Unprocessable(_) => 422,
                PatchError::Internal(_) => 500,
            };
            let same_words = matches!(error, PatchError::Unprocessable(_)) || error.to_string() == message
                // The recordings do not keep what the object looked like in every message.
                || message.contains("list element types");
            (status != expected || !same_words).then(|| format!("we say {expected} {error}, it {status} {message}"))
        }
    };
    if let Some(complaint) = complaint {
        tally.wrong.push(format!("{name}\n    {complaint}"));
    }
}

fn kind(object: &Value) -> Option<std::sync::Arc<Schema>> {
    let api_version = object["apiVersion"].as_str()?;
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    crate::catalog::catalog().kind(group, version, object["kind"].as_str()?)
}

/// The first place where `ours` has what `theirs` has not.
fn difference(ours: &Value, theirs: &Value, path: &mut String) -> Option<String> {
    const SERVERS: [&str; 8] =
        ["managedFields", "resourceVersion", "generation", "creationTimestamp", "uid", "status", "count", "eventTime"];
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => ours.iter().find_map(|(name, ours)| {
            if SERVERS.contains(&name.as_str()) || is_empty(ours) {
                return None;
            }
            let length = path.len();
            path.push_str(&format!(".{name}"));
            let found = match theirs.get(name) {
                Some(theirs) => difference(ours, theirs, path),
                None => Some(format!("{path}: {ours} is not there")),
            };
            path.truncate(length);
            found
        }),
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => {
            ours.iter().zip(theirs).enumerate().find_map(|(index, (ours, theirs))| {
                let length = path.len();
                path.push_str(&format!("[{index}]"));
                let found = difference(ours, theirs, path);
                path.truncate(length);
                found
            })
        }
        _ if ours == theirs || theirs == TIME => None,
        _ => Some(format!("{path}: ours {ours}, theirs {theirs}")),
    }
}

/// What the patch took out at the top levels must not be in the answer (defaults may come back deeper down).
fn removed(before: &Value, made: &Value, after: &Value) -> Option<String> {
    ["/metadata/labels", "/metadata/annotations", "/metadata/finalizers", "/data", "/spec/template/spec/nodeSelector"]
        .into_iter()
        .filter_map(|place| Some((place, before.pointer(place)?.as_object()?)))
        .find_map(|(place, fields)| {
            fields.keys().find_map(|name| {
                let in_value = |value: &Value| value.pointer(place).and_then(|fields| fields.get(name)).is_some();
                (!in_value(made) && in_value(after)).then(|| format!("{place}: we took out {name}, it did not"))
            })
        })
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::String(text) => text.is_empty() || text.starts_with('<') || text.starts_with("2020-01-02T"),
        _ => false,
    }
}
