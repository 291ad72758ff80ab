//! The codec against the recorded answers of a real server, and against random input.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::catalog;

fn kind(group: &str, version: &str, kind: &str) -> Arc<Schema> {
    catalog().kind(group, version, kind).unwrap_or_else(|| panic!("{group}/{version}/{kind}"))
}

fn decode(schema: &Schema, json: &str) -> Decoded {
    decode_json(json.as_bytes(), schema).unwrap_or_else(|error| panic!("{error}: {json}"))
}

fn encoded(value: &Value, schema: &Schema) -> String {
    let mut out = Vec::new();
    encode(value, schema, &mut out);
    String::from_utf8(out).unwrap()
}

/// The recordings in this checkout.
fn recordings() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/oracle/scenarios")
}

#[test]
fn a_pod_keeps_gos_order_and_gos_unset_fields() {
    let pod = kind("", "v1", "Pod");
    let decoded = decode(
        &pod,
        r#"{"spec":{"hostNetwork":false,"priority":0,"containers":[{"image":"i","name":"c","ports":[],"resources":{}}],
            "terminationGracePeriodSeconds":0},"metadata":{"labels":{},"name":"p"},"apiVersion":"v1","kind":"Pod"}"#,
    );
    let expected = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {
        "containers": [{"image": "i", "name": "c"}], "priority": 0, "terminationGracePeriodSeconds": 0}});
    assert_eq!(decoded.value, expected);
    assert_eq!(
        encoded(&decoded.value, &pod),
        concat!(
            r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"i","#,
            r#""resources":{}}],"terminationGracePeriodSeconds":0,"priority":0},"status":{}}"#
        )
    );
}

#[test]
fn the_place_of_the_resource_version() {
    let schema = kind("", "v1", "ConfigMap");
    let full = r#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a","uid":"u","resourceVersion":"7","creationTimestamp":"2020-01-01T00:00:00Z"},"data":{"k":"v"}}"#;
    let last = r#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"resourceVersion":"7","name":"a"}}"#;
    let bare = r#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"resourceVersion":"7","creationTimestamp":null}}"#;
    for text in [full, last, bare] {
        let value = decode(&schema, text).value;
        let mut out = b"before".to_vec();
        let at = encode_stored(&value, &schema, &mut out) as usize;
        let stored = String::from_utf8(out.split_off(6)).unwrap();
        let mut spliced = stored.clone();
        spliced.insert_str(at, r#""resourceVersion":"7","#);
        assert_eq!(spliced, text);
        assert!(serde_json::from_str::<Value>(&stored).is_ok());
    }
}

#[test]
fn wrong_types_have_gos_words() {
    let cases: &[(&str, &str, &str)] = &[
        ("ConfigMap", "[]", "json: cannot unmarshal array into Go value of type v1.ConfigMap"),
        (
            "ConfigMap",
            r#"{"metadata":"x"}"#,
            "json: cannot unmarshal string into Go struct field ConfigMap.metadata of type v1.ObjectMeta",
        ),
        (
            "ConfigMap",
            r#"{"metadata":{"generation":1e3}}"#,
            "json: cannot unmarshal number 1e3 into Go struct field ObjectMeta.metadata.generation of type int64",
        ),
        (
            "ConfigMap",
            r#"{"metadata":{"labels":[]}}"#,
            "json: cannot unmarshal array into Go struct field ObjectMeta.metadata.labels of type map[string]string",
        ),
        (
            "ConfigMap",
            r#"{"data":{"k":5},"metadata":3}"#,
            "json: cannot unmarshal number into Go struct field ConfigMap.data of type string",
        ),
        ("ConfigMap", r#"{"binaryData":{"k":"!"}}"#, "illegal base64 data at input byte 0"),
        (
            "Pod",
            r#"{"spec":{"containers":[{"ports":"x"}]}}"#,
            "json: cannot unmarshal string into Go struct field Container.spec.containers.ports of type []v1.ContainerPort",
        ),
        (
            "Pod",
            r#"{"spec":{"containers":[{"ports":[{"containerPort":80.5}]}]}}"#,
            "json: cannot unmarshal number 80.5 into Go struct field ContainerPort.spec.containers.ports.containerPort of type int32",
        ),
        (
            "Pod",
            r#"{"spec":{"priority":3000000000}}"#,
            "json: cannot unmarshal number 3000000000 into Go struct field PodSpec.spec.priority of type int32",
        ),
        (
            "Pod",
            r#"{"spec":{"restartPolicy":1}}"#,
            "json: cannot unmarshal number into Go struct field PodSpec.spec.restartPolicy of type v1.RestartPolicy",
        ),
        // A type that decodes itself stops the decoding, whatever was wrong before.
        (
            "Pod",
            r#"{"spec":{"priority":"x"},"metadata":{"creationTimestamp":5}}"#,
            "json: cannot unmarshal number into Go value of type string",
        ),
        (
            "Node",
            r#"{"status":{"capacity":{"cpu":"many"}}}"#,
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
        (
            "Service",
            r#"{"spec":{"ports":[{"targetPort":1.5}]}}"#,
            "json: cannot unmarshal number 1.5 into Go value of type int32",
        ),
    ];
    for (name, json, expected) in cases {
        let error = decode_json(json.as_bytes(), &kind("", "v1", name)).unwrap_err();
        assert_eq!(error, DecodeError::Type((*expected).to_owned()), "{json}");
    }
}

#[test]
fn a_syntax_error_comes_before_a_wrong_type() {
    let error = decode_json(br#"{"metadata":5} x"#, &kind("", "v1", "ConfigMap")).unwrap_err();
    assert_eq!(error, DecodeError::Syntax("invalid character 'x' after top-level value".into()));
}

#[test]
fn unknown_and_duplicate_fields() {
    let pod = kind("", "v1", "Pod");
    let decoded = decode(
        &pod,
        r#"{"metadata":{"labels":{"x":"1","x":"2"}},"spec":{"containers":[{"image":"i","image":"j","imagee":1,
            "env":[{"name":"A"},{"name":"B","bad":{"deep":[1,{}]}}]}],"bogus":1,"bogus":2},"status":{"what":1},"x":{}}"#,
    );
    assert_eq!(
        decoded.strict_errors,
        [
            r#"duplicate field "metadata.labels.x""#,
            r#"duplicate field "spec.containers[0].image""#,
            r#"unknown field "spec.containers[0].imagee""#,
            r#"unknown field "spec.containers[0].env[1].bad""#,
            r#"unknown field "spec.bogus""#,
            r#"unknown field "status.what""#,
            r#"unknown field "x""#,
        ]
    );
    assert_eq!(decoded.value["metadata"]["labels"]["x"], "2");
    assert_eq!(decoded.value["spec"]["containers"][0]["image"], "j");
}

#[test]
fn strict_errors_are_bounded() {
    let members: Vec<String> = (0..300).map(|at| format!(r#""x{at}":1"#)).collect();
    let decoded = decode(&kind("", "v1", "ConfigMap"), &format!("{{{}}}", members.join(",")));
    assert_eq!(decoded.strict_errors.len(), STRICT_ERRORS_MAX);
}

#[test]
fn a_repeated_struct_is_merged() {
    let decoded = decode(&kind("", "v1", "ConfigMap"), r#"{"metadata":{"name":"a"},"metadata":{"labels":{"x":"y"}}}"#);
    assert_eq!(decoded.value, json!({"metadata": {"name": "a", "labels": {"x": "y"}}}));
}

#[test]
fn nulls_are_gos() {
    let map = decode(&kind("", "v1", "ConfigMap"), r#"{"metadata":null,"data":{"a":null},"immutable":null}"#);
    assert_eq!(map.value, json!({"data": {"a": ""}}));
    assert_eq!(decode(&kind("", "v1", "ConfigMap"), "null").value, json!({}));
    let pod = decode(&kind("", "v1", "Pod"), r#"{"spec":{"containers":[null]},"metadata":{"finalizers":[null]}}"#);
    assert_eq!(pod.value, json!({"spec": {"containers": [{}]}, "metadata": {"finalizers": [""]}}));
}

#[test]
fn strings_as_go_reads_them() {
    let schema = kind("", "v1", "ConfigMap");
    let value =
        decode_json(b"{\"data\":{\"k\":\"\xff\xfe\",\"s\":\"\\ud800\",\"p\":\"\\ud83d\\ude00\"}}", &schema).unwrap();
    assert_eq!(value.value["data"], json!({"k": "\u{fffd}\u{fffd}", "s": "\u{fffd}", "p": "😀"}));
}

#[test]
fn quantities_and_times_are_canonical() {
    let pvc = decode(
        &kind("", "v1", "PersistentVolumeClaim"),
        r#"{"metadata":{"creationTimestamp":"2020-01-01T01:00:00+01:00"},
            "spec":{"resources":{"requests":{"storage":"0.5Gi","x":1000}}}}"#,
    );
    assert_eq!(pvc.value["spec"]["resources"]["requests"], json!({"storage": "512Mi", "x": "1k"}));
    assert_eq!(pvc.value["metadata"]["creationTimestamp"], "2020-01-01T00:00:00Z");
}

#[test]
fn json_schemas_hold_schemas_booleans_and_lists() {
    let schema = kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    let props = |props: &str| {
        format!(r#"{{"spec":{{"versions":[{{"schema":{{"openAPIV3Schema":{{"properties":{{"a":{props}}}}}}}}}]}}}}"#)
    };
    let decoded =
        decode(&schema, &props(r#"{"additionalProperties":{"type":"string","odd":1},"default":{"b":1,"a":2}}"#));
    assert!(decoded.strict_errors.is_empty());
    let text = encoded(&decoded.value, &schema);
    assert!(text.contains(r#""a":{"default":{"a":2,"b":1},"additionalProperties":{"type":"string"}}"#), "{text}");
    assert!(decode_json(props(r#"{"additionalProperties":true}"#).as_bytes(), &schema).is_ok());
    let error = decode_json(props(r#"{"additionalProperties":5}"#).as_bytes(), &schema).unwrap_err();
    assert_eq!(error, DecodeError::Type("boolean or JSON schema expected".into()));
    let warned = decode(&schema, &props(r#"{"x-kubernetes-bogus":1}"#));
    let expected = r#"unknown field "spec.versions[0].schema.openAPIV3Schema.properties.a.x-kubernetes-bogus""#;
    assert_eq!(warned.strict_errors, [expected]);
}

#[test]
fn type_meta_as_the_server_sniffs_it() {
    let meta = |json: &str| type_meta(json.as_bytes());
    let expected = TypeMeta { api_version: "apps/v1".into(), kind: "X".into() };
    assert_eq!(meta(r#"{"a":[{}],"kind":"X","apiversion":"apps/v1"}"#), Ok(expected));
    assert_eq!(meta("null"), Ok(TypeMeta::default()));
    assert_eq!(
        meta(r#"{"apiVersion":1,"kind":"ConfigMap"}"#).unwrap_err().to_string(),
        "json: cannot unmarshal number into Go struct field .apiVersion of type string"
    );
    assert_eq!(meta("").unwrap_err().to_string(), "unexpected end of JSON input");
    let array = r#"json: cannot unmarshal array into Go value of type struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }"#;
    assert_eq!(meta("[]").unwrap_err().to_string(), array);
}

#[test]
fn yaml_is_decoded_alike() {
    let schema = kind("", "v1", "ConfigMap");
    let decoded = decode_yaml(b"metadata: {name: a1, bogus: 1}\ndata: {a: b, a: c}\nzzz: 1\n", &schema).unwrap();
    assert_eq!(decoded.value, json!({"metadata": {"name": "a1"}, "data": {"a": "c"}}));
    let expected =
        [r#"line 2: key "a" already set in map"#, r#"unknown field "metadata.bogus""#, r#"unknown field "zzz""#];
    assert_eq!(decoded.strict_errors, expected);
    assert!(decode_yaml(b"a: [", &schema).is_err());
    assert_eq!(decode_yaml(b"# only a comment\n", &schema).unwrap().value, json!({}));
}

#[test]
fn summaries() {
    assert_eq!(summarize(b""), "<empty>");
    assert_eq!(summarize(b"[]"), "5b5d");
    let long = br#"{"apiVersion":"v1","kind":"ConfigMap"}"#;
    assert_eq!(summarize(long), r#"{"apiVersion":"v1","kind":"Con ..."#);
}

#[test]
fn deep_values_are_refused_not_overflowed() {
    let schema = kind("", "v1", "ConfigMap");
    let dropped = |depth: usize| format!(r#"{{"x":{}1{}}}"#, "[".repeat(depth), "]".repeat(depth));
    assert!(decode_json(dropped(9_000).as_bytes(), &schema).is_ok());
    let error = decode_json(dropped(12_000).as_bytes(), &schema).unwrap_err();
    assert_eq!(error, DecodeError::Syntax("invalid character '[' exceeded max depth".into()));
    let revision = kind("apps", "v1", "ControllerRevision");
    let kept = |depth: usize| format!(r#"{{"data":{}1{}}}"#, "[".repeat(depth), "]".repeat(depth));
    assert!(decode_json(kept(KEPT_DEPTH_MAX - 1).as_bytes(), &revision).is_ok());
    assert!(decode_json(kept(KEPT_DEPTH_MAX + 1).as_bytes(), &revision).is_err());
}

/// Every object in the recorded answers survives decoding and encoding.
#[test]
fn recorded_answers_round_trip() {
    let (mut objects, mut partial) = (0, 0);
    let mut failures = Vec::new();
    for entry in std::fs::read_dir(recordings()).unwrap() {
        let path = entry.unwrap().path();
        if !path.to_string_lossy().ends_with(".answers.json") {
            continue;
        }
        let answers: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        each_object(&answers, &mut |object| {
            objects += 1;
            if let Err(difference) = round_trip(object, &mut partial) {
                failures.push(format!("{}: {difference}", path.file_name().unwrap().to_string_lossy()));
            }
        });
    }
    // The recorder cut a field out of a few objects.
    assert!(partial <= 20, "{partial} objects are not whole");
    assert!(objects > 1000, "only {objects} objects in {}", recordings().display());
    let shown = failures.len().min(40);
    assert!(failures.is_empty(), "{} of {objects}:\n{}", failures.len(), failures[..shown].join("\n"));
}

/// Calls `run` with each outermost object that has a kind and a version.
fn each_object(value: &Value, run: &mut impl FnMut(&Value)) {
    match value {
        // What has a kind and no metadata is a reference to an object.
        Value::Object(members)
            if ["kind", "apiVersion", "metadata"].iter().all(|field| members.contains_key(*field)) =>
        {
            if members["kind"].as_str().is_some_and(|kind| kind.ends_with("List")) || members["kind"] == "Table" {
                members.values().for_each(|member| each_object(member, run));
            } else {
                run(value);
            }
        }
        Value::Object(members) => members.values().for_each(|member| each_object(member, run)),
        Value::Array(items) => items.iter().for_each(|item| each_object(item, run)),
        _ => {}
    }
}

fn round_trip(object: &Value, partial: &mut usize) -> Result<(), String> {
    let (Some(version), Some(name)) = (object["apiVersion"].as_str(), object["kind"].as_str()) else {
        return Ok(());
    };
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let Some(schema) = catalog().kind(group, version, name) else {
        return Ok(()); // A custom resource.
    };
    let object = restore_times(object, &schema);
    let decoded = decode_value(&object, &schema).map_err(|error| format!("{name}: {error}"))?;
    if !decoded.strict_errors.is_empty() {
        return Err(format!("{name}: {:?}", decoded.strict_errors));
    }
    let text = encoded(&decoded.value, &schema);
    let again: Value = serde_json::from_str(&text).map_err(|error| format!("{name}: {error}: {text}"))?;
    if again != object && without_absent(&again, &object, 2) == object {
        *partial += 1;
        return Ok(());
    }
    if again == object { Ok(()) } else { Err(format!("{name}:\n  real {object}\n  ours {again}")) }
}

/// `value` without the members, down to `depth`, that `like` does not have.
fn without_absent(value: &Value, like: &Value, depth: usize) -> Value {
    match (value, like) {
        (Value::Object(members), Value::Object(kept)) if depth > 0 => (members.iter())
            .filter_map(|(key, value)| Some((key.clone(), without_absent(value, kept.get(key)?, depth - 1))))
            .collect(),
        _ => value.clone(),
    }
}

/// The recorder wrote `<time>` and the like over what differs between runs: puts values back.
fn restore_times(value: &Value, schema: &Schema) -> Value {
    use crate::model::{Node, ScalarKind};
    match (value, &schema.node) {
        (Value::String(text), Node::Scalar(ScalarKind::Time)) if text == "<time>" => json!("2020-01-02T03:04:05Z"),
        (Value::String(text), Node::Scalar(ScalarKind::MicroTime)) if text == "<time>" => {
            json!("2020-01-02T03:04:05.000001Z")
        }
        (Value::String(text), Node::Scalar(ScalarKind::Int32 | ScalarKind::Int64)) if text.starts_with('<') => json!(7),
        (Value::String(text), Node::Scalar(ScalarKind::Bytes)) if text.starts_with('<') => json!("aGk="),
        (Value::Object(members), Node::Object(object)) => members
            .iter()
            .map(|(key, value)| {
                let field = object.field(key).map(|field| restore_times(value, field.schema()));
                (key.clone(), field.unwrap_or_else(|| value.clone()))
            })
            .collect(),
        (Value::Object(members), Node::Map(map)) => {
            members.iter().map(|(key, value)| (key.clone(), restore_times(value, map.values()))).collect()
        }
        (Value::Array(items), Node::List(list)) => items.iter().map(|item| restore_times(item, list.items())).collect(),
        _ => value.clone(),
    }
}

/// Go's own samples of every kind (k8s.io/api's `testdata`), byte by byte; see `generate/README.md`.
#[test]
#[ignore = "needs KUORUM_GO_SAMPLES, a directory that the repository does not hold"]
fn gos_samples_round_trip() {
    let folder = std::env::var("KUORUM_GO_SAMPLES").unwrap();
    let (mut same, mut failures) = (0, Vec::new());
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        if !file.ends_with(".json") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let meta = type_meta(text.as_bytes()).unwrap();
        let (group, version) = meta.api_version.split_once('/').unwrap_or(("", &meta.api_version));
        let Some(schema) = catalog().kind(group, version, &meta.kind) else { continue };
        let decoded = decode_json(text.as_bytes(), &schema).unwrap_or_else(|error| panic!("{file}: {error}"));
        let mut out = Vec::new();
        pretty(encoded(&decoded.value, &schema).as_bytes(), &mut out);
        let ours = String::from_utf8(out).unwrap();
        if ours.trim() == text.trim() {
            same += 1;
        } else {
            let at = ours.lines().zip(text.lines()).position(|(a, b)| a != b).unwrap_or_default();
            failures.push(format!("{file}:{at}: {:?} not {:?}", ours.lines().nth(at), text.lines().nth(at)));
        }
    }
    println!("{same} the same");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let schema = kind("", "v1", "Pod");
        let _ = decode_json(&bytes, &schema);
        let _ = type_meta(&bytes);
        summarize(&bytes);
    }

    /// Random edits of a real document reach deeper than noise does; and the fast reader and Go's scanner agree.
    #[test]
    fn damaged_documents_never_panic(at in 0_usize..400, with in prop::sample::select(b"{}[]\",:\\0-9.eEtfn \x00\xff".to_vec()), cut in 0_usize..400) {
        let text = br#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","labels":{"a":"b"},"creationTimestamp":null},"spec":{"containers":[{"name":"c","image":"i","ports":[{"containerPort":80}],"resources":{"limits":{"cpu":"1","memory":1.5e3}},"env":[{"name":"A","value":"\u00e9"}]}],"volumes":[{"name":"v","emptyDir":{}}],"priority":-0,"unknown":[true,false,null,{"a":[]}]}}"#;
        let mut bytes = text.to_vec();
        if let Some(byte) = bytes.get_mut(at) {
            *byte = with;
        }
        bytes.truncate(bytes.len() - cut.saturating_sub(200).min(bytes.len()));
        match decode_json(&bytes, &kind("", "v1", "Pod")) {
            Err(DecodeError::Syntax(message)) => {
                prop_assert_eq!(scan::check(&bytes).unwrap_err(), message);
            }
            Ok(_) | Err(DecodeError::Type(_)) => prop_assert!(scan::check(&bytes).is_ok()),
        }
    }

    #[test]
    fn what_was_encoded_decodes_to_the_same(name in "[a-z]{0,9}", replicas in any::<i32>(), data in prop::collection::btree_map(".*", ".*", 0..5)) {
        let schema = kind("apps", "v1", "Deployment");
        let value = json!({"metadata": {"name": name, "annotations": data}, "spec": {"replicas": replicas}});
        let first = decode_value(&value, &schema).unwrap().value;
        let text = encoded(&first, &schema);
        prop_assert_eq!(decode(&schema, &text).value, first);
    }
}
