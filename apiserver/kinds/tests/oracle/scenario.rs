//! Reading the oracle's scenarios, and comparing with answers in which what must differ was replaced.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// One request of a scenario, and what the real server answered.
pub struct Step {
    pub method: String,
    /// Without the query.
    pub path: String,
    pub query: String,
    pub headers: Value,
    /// `{ns}` filled in; `Null` where there is none or it is not JSON.
    pub body: Value,
    pub status: u64,
    pub answer: Value,
    pub warnings: Vec<String>,
}

/// The directory of the scenarios, in the repository.
pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/oracle/scenarios")
}

/// The names of all scenarios that begin with one of `prefixes`, sorted.
pub fn names(prefixes: &[&str]) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(directory())
        .expect("tests/oracle/scenarios is part of the repository")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".answers.json").map(str::to_owned))
        .filter(|name| prefixes.iter().any(|prefix| name.starts_with(prefix)))
        .collect();
    names.sort();
    names
}

/// The steps of one scenario.
pub fn read(name: &str) -> Vec<Step> {
    let yaml = std::fs::read(directory().join(format!("{name}.yaml"))).expect("scenario");
    let scenario = kuorum_schema::yaml::to_json(&yaml).expect("scenario is YAML").value;
    let answers = std::fs::read(directory().join(format!("{name}.answers.json"))).expect("answers");
    let answers: Vec<Value> = serde_json::from_slice(&answers).expect("answers are JSON");
    let steps = scenario["steps"].as_array().expect("steps");
    steps.iter().zip(&answers).map(|(step, answer)| make(name, step, answer)).collect()
}

fn make(name: &str, step: &Value, answer: &Value) -> Step {
    let namespace = format!("o-{name}");
    let (method, url) = step["do"].as_str().and_then(|text| text.split_once(' ')).expect("do");
    let url = url.replace("{ns}", &namespace);
    let (path, query) = url.split_once('?').unwrap_or((&url, ""));
    let body = match &step["body"] {
        Value::String(text) => serde_json::from_str(&text.replace("{ns}", &namespace)).unwrap_or(Value::Null),
        Value::Null => Value::Null,
        other => serde_json::from_str(&pad(other.to_string().replace("{ns}", &namespace), &step["pad"])).expect("body"),
    };
    Step {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers: step["headers"].clone(),
        body,
        status: answer["status"].as_u64().unwrap_or(0),
        answer: answer["body"].clone(),
        warnings: answer["headers"]["warning"]
            .as_str()
            .map_or(Vec::new(), |text| text.lines().map(|line| line.trim_start_matches("299 - ").to_owned()).collect()),
    }
}

fn pad(mut text: String, pads: &Value) -> String {
    for (name, filler) in pads.as_object().into_iter().flatten() {
        let repeated = filler[0].as_str().unwrap_or("").repeat(filler[1].as_u64().unwrap_or(0) as usize);
        text = text.replace(&format!("{{{name}}}"), &repeated);
    }
    text
}

/// An answered object with values in place of what was replaced, so that it can be an old object.
pub fn concrete(value: &Value) -> Value {
    match value {
        Value::String(text) => match text.as_str() {
            "<port>" => 30001.into(),
            _ => fill(text).into(),
        },
        Value::Array(items) => items.iter().map(concrete).collect(),
        Value::Object(map) => map.iter().map(|(k, v)| (k.clone(), concrete(v))).collect(),
        other => other.clone(),
    }
}

/// A text of an answer or request with its place holders filled in.
pub fn fill(text: &str) -> String {
    text.replace("<time>", "2024-05-01T10:00:00Z")
        .replace("<uid>", "01234567-89ab-cdef-0123-456789abcdef")
        .replace("<ip>", "10.0.0.10")
        .replace("<resourceVersion>", "7")
}

/// Where `mine` is not what `answer` says; place holders match anything. `Null` and absent are different.
pub fn differences(mine: &Value, answer: &Value, at: &str, out: &mut Vec<String>) {
    match (mine, answer) {
        (Value::Object(mine), Value::Object(answer)) => {
            for (key, expected) in answer {
                match mine.get(key) {
                    Some(value) => differences(value, expected, &format!("{at}.{key}"), out),
                    None => out.push(format!("{at}.{key}: missing, want {expected}")),
                }
            }
            for (key, value) in mine.iter().filter(|(key, _)| !answer.contains_key(*key)) {
                out.push(format!("{at}.{key}: unexpected {value}"));
            }
        }
        (Value::Array(mine), Value::Array(answer)) if mine.len() == answer.len() => {
            for (i, (mine, answer)) in mine.iter().zip(answer).enumerate() {
                differences(mine, answer, &format!("{at}[{i}]"), out);
            }
        }
        (Value::Number(_), Value::String(place)) if place == "<port>" => {}
        (Value::String(mine), Value::String(pattern)) if matches(mine, pattern) => {}
        _ if mine == answer => {}
        _ => out.push(format!("{at}: {mine}, want {answer}")),
    }
}

const PLACES: [&str; 8] = ["<time>", "<uid>", "<ip>", "<rand>", "<resourceVersion>", "<age>", "<jwt>", "<n>"];

/// Whether `text` is `pattern` with anything in its place holders.
pub fn matches(text: &str, pattern: &str) -> bool {
    let Some((at, place)) = PLACES.iter().filter_map(|p| pattern.find(p).map(|at| (at, *p))).min() else {
        return text == pattern;
    };
    let (head, rest) = (&pattern[..at], &pattern[at + place.len()..]);
    let Some(tail) = text.strip_prefix(head) else { return false };
    (0..=tail.len()).filter(|&n| tail.is_char_boundary(n)).any(|n| matches(&tail[n..], rest))
}
