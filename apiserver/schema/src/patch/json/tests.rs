use super::*;
use proptest::prelude::*;
use serde_json::json;

fn check(doc: &str, patch: &str) -> Result<Value, PatchError> {
    apply(&serde_json::from_str(doc).unwrap(), patch.as_bytes())
}

#[test]
fn what_operations_do() {
    for (doc, patch, result) in [
        // the examples of RFC 6902, appendix A
        (r#"{"foo":"bar"}"#, r#"[{"op":"add","path":"/baz","value":"qux"}]"#, r#"{"baz":"qux","foo":"bar"}"#),
        (
            r#"{"foo":["bar","baz"]}"#,
            r#"[{"op":"add","path":"/foo/1","value":"qux"}]"#,
            r#"{"foo":["bar","qux","baz"]}"#,
        ),
        (r#"{"baz":"qux","foo":"bar"}"#, r#"[{"op":"remove","path":"/baz"}]"#, r#"{"foo":"bar"}"#),
        (r#"{"foo":["bar","qux","baz"]}"#, r#"[{"op":"remove","path":"/foo/1"}]"#, r#"{"foo":["bar","baz"]}"#),
        (r#"{"baz":"qux"}"#, r#"[{"op":"replace","path":"/baz","value":"boo"}]"#, r#"{"baz":"boo"}"#),
        (
            r#"{"foo":{"bar":"baz","waldo":"fred"},"qux":{"corge":"grault"}}"#,
            r#"[{"op":"move","from":"/foo/waldo","path":"/qux/thud"}]"#,
            r#"{"foo":{"bar":"baz"},"qux":{"corge":"grault","thud":"fred"}}"#,
        ),
        (r#"{"foo":["a","b","c"]}"#, r#"[{"op":"move","from":"/foo/1","path":"/foo/2"}]"#, r#"{"foo":["a","c","b"]}"#),
        (r#"{"foo":"bar"}"#, r#"[{"op":"add","path":"/child","value":{"g":{}}}]"#, r#"{"foo":"bar","child":{"g":{}}}"#),
        (r#"{"foo":"bar"}"#, r#"[{"op":"add","path":"/baz","value":"qux","xyz":123}]"#, r#"{"foo":"bar","baz":"qux"}"#),
        (r#"{"/":9,"~1":10}"#, r#"[{"op":"test","path":"/~01","value":10}]"#, r#"{"/":9,"~1":10}"#),
        (r#"{"foo":["bar"]}"#, r#"[{"op":"add","path":"/foo/-","value":["abc"]}]"#, r#"{"foo":["bar",["abc"]]}"#),
        // the liberties
        (r#"{"a":1}"#, "null", r#"{"a":1}"#),
        (r#"{"a":1}"#, "[]", r#"{"a":1}"#),
        (r#"{"a":1}"#, r#"[{"op":"replace","path":"/b","value":2}]"#, r#"{"a":1,"b":2}"#),
        (r#"{"a":1}"#, r#"[{"op":"add","path":"/b"}]"#, r#"{"a":1,"b":null}"#),
        (r#"{"a":1}"#, r#"[{"op":"add","path":"x/b","value":2}]"#, r#"{"a":1,"b":2}"#),
        (r#"{"a":1}"#, r#"[{"op":"copy","from":"/none","path":"/b"}]"#, r#"{"a":1,"b":null}"#),
        (r#"{"a":1}"#, r#"[{"op":"test","path":"/none","value":null}]"#, r#"{"a":1}"#),
        (r#"{"a":1}"#, r#"[{"op":"test","path":"/none"}]"#, r#"{"a":1}"#),
        (r#"{"a":null}"#, r#"[{"op":"test","path":"/a"}]"#, r#"{"a":null}"#),
        (r#"{"a":1}"#, r#"[{"op":"test","path":"","value":{"a":1}}]"#, r#"{"a":1}"#),
        (r#"{"a":1}"#, r#"[{"op":"replace","path":"","value":{"b":1}}]"#, r#"{"b":1}"#),
        (r#"{"a":1}"#, r#"[{"op":"replace","path":"","value":5}]"#, r#"{"a":1}"#),
        (r#"{"m~2n":1}"#, r#"[{"op":"remove","path":"/m~2n"}]"#, "{}"),
        (r#"{"":1}"#, r#"[{"op":"remove","path":"/"}]"#, "{}"),
        ("[1,2,3]", r#"[{"op":"remove","path":"/-1"}]"#, "[1,2]"),
        ("[1,2,3]", r#"[{"op":"replace","path":"/-3","value":0}]"#, "[0,2,3]"),
        ("[1,2]", r#"[{"op":"add","path":"/2","value":3}]"#, "[1,2,3]"),
        ("[1,2]", r#"[{"op":"add","path":"/-1","value":3}]"#, "[1,2,3]"),
        ("[1,2]", r#"[{"op":"add","path":"/-3","value":3}]"#, "[3,1,2]"),
        (r#"{"a":{"b":1}}"#, r#"[{"op":"copy","from":"/a","path":"/a/c"}]"#, r#"{"a":{"b":1,"c":{"b":1}}}"#),
    ] {
        let expected: Value = serde_json::from_str(result).unwrap();
        assert_eq!(check(doc, patch).unwrap(), expected, "{doc} {patch}");
    }
}

#[test]
fn what_cannot_be_done() {
    for (doc, patch) in [
        (r#"{"foo":"bar"}"#, r#"[{"op":"test","path":"/foo","value":"x"}]"#),
        (r#"{"a":1}"#, r#"[{"op":"test","path":"/a","value":"1"}]"#),
        (r#"{"a":1}"#, r#"[{"op":"test","path":"/none","value":1}]"#),
        (r#"{"foo":"bar"}"#, r#"[{"op":"add","path":"/baz/bat","value":"qux"}]"#),
        (r#"{"foo":"bar"}"#, r#"[{"op":"add","path":"/foo/bat","value":"qux"}]"#),
        (r#"{"a":null}"#, r#"[{"op":"add","path":"/a/b","value":1}]"#),
        ("{}", r#"[{"op":"add","path":"","value":{}}]"#),
        ("{}", r#"[{"op":"add","path":"a","value":1}]"#),
        ("{}", r#"[{"op":"remove","path":"/a"}]"#),
        ("{}", r#"[{"op":"replace","path":"/a/b","value":1}]"#),
        ("[1]", r#"[{"op":"add","path":"/3","value":1}]"#),
        ("[1]", r#"[{"op":"add","path":"/-3","value":1}]"#),
        ("[1]", r#"[{"op":"add","path":"/x","value":1}]"#),
        ("[1]", r#"[{"op":"remove","path":"/1"}]"#),
        ("[1]", r#"[{"op":"remove","path":"/-2"}]"#),
        ("[1]", r#"[{"op":"remove","path":"/-"}]"#),
        ("[1]", r#"[{"op":"replace","path":"/-","value":1}]"#),
        ("[1]", r#"[{"op":"test","path":"/9223372036854775808","value":1}]"#),
        ("[1]", r#"[{"op":"test","path":"/-9223372036854775808","value":1}]"#),
        (r#"{"a":{"b":1}}"#, r#"[{"op":"move","from":"/a","path":"/a/b"}]"#),
        ("{}", r#"[{"op":"move","path":"/a"}]"#),
        ("{}", r#"[{"op":"move","from":"/none","path":"/a"}]"#),
        ("{}", r#"[{"op":"add","value":1}]"#),
        ("{}", r#"[{"op":"shout","path":"/a"}]"#),
        ("{}", r#"[{"path":"/a"}]"#),
        ("{}", "[null]"),
    ] {
        assert!(matches!(check(doc, patch), Err(PatchError::Unprocessable(_))), "{doc} {patch}");
    }
}

#[test]
fn malformed_patches() {
    let error = |patch: &str| check("{}", patch).unwrap_err();
    for (patch, message) in [
        ("", "error decoding patch: unexpected end of JSON input"),
        ("[{", "error decoding patch: unexpected end of JSON input"),
        ("{}", "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"),
        ("[5]", "error decoding patch: json: cannot unmarshal number into Go value of type handlers.jsonPatchOp"),
        (
            r#"[{"op":5}]"#,
            "error decoding patch: json: cannot unmarshal number into Go struct field jsonPatchOp.op of type string",
        ),
    ] {
        assert_eq!(error(patch), PatchError::BadRequest(message.to_owned()), "{patch}");
    }
}

#[test]
fn limits() {
    let operation = r#"{"op":"add","path":"/k","value":"1"}"#;
    let many = |n: usize| format!("[{}]", vec![operation; n].join(","));
    assert!(check("{}", &many(OPERATIONS_MAX)).is_ok());
    assert_eq!(
        check("{}", &many(OPERATIONS_MAX + 1)).unwrap_err(),
        PatchError::TooLarge("The allowed maximum operations in a JSON patch is 10000, got 10001".to_owned())
    );
    let doubling = vec![r#"{"op":"copy","from":"/a","path":"/a/-"}"#; 64].join(",");
    let error = check(&json!({"a": ["x".repeat(1000)]}).to_string(), &format!("[{doubling}]")).unwrap_err();
    assert!(error.to_string().contains("exceeding the limit 3145728"), "{error}");
}

#[test]
fn a_document_cannot_be_nested_without_end() {
    let mut operations = Vec::new();
    for level in 0..1000 {
        operations.push(json!({"op": "add", "path": format!("{}/a", "/a".repeat(level)), "value": {}}));
    }
    let error = check("{}", &Value::from(operations).to_string()).unwrap_err();
    assert!(matches!(error, PatchError::Unprocessable(_)));
}

#[test]
fn moves_nest_no_deeper_either() {
    let mut operations = vec![json!({"op": "add", "path": "/a", "value": {}})];
    for _ in 0..PATCH_DEPTH_MAX {
        operations.push(json!({"op": "add", "path": "/b", "value": {}}));
        operations.push(json!({"op": "move", "from": "/a", "path": "/b/a"}));
        operations.push(json!({"op": "move", "from": "/b", "path": "/a"}));
    }
    assert!(check("{}", &Value::from(operations).to_string()).is_err());
    // Back and forth is no nesting, however often.
    let mut operations = Vec::new();
    for _ in 0..1000 {
        operations.push(json!({"op": "move", "from": "/a", "path": "/b/c/d"}));
        operations.push(json!({"op": "move", "from": "/b/c/d", "path": "/a"}));
    }
    let doc = r#"{"a":{"x":[1]},"b":{"c":{}}}"#;
    assert_eq!(check(doc, &Value::from(operations).to_string()).unwrap(), serde_json::from_str::<Value>(doc).unwrap());
}

#[test]
fn strict_errors_name_the_field() {
    let patch = JsonPatch::decode(br#"[{"op":"add","path":"/data/x","value":"1","value":"2","foo":1}]"#).unwrap();
    assert_eq!(
        patch.strict_errors,
        [r#"json patch duplicate field "[0].value""#, r#"json patch unknown field "[0].foo""#]
    );
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = JsonPatch::decode(&bytes);
    }

    #[test]
    fn no_operations_panic(
        operations in prop::collection::vec(
            ("(add|remove|replace|move|copy|test)", "(/(a|b|-|-?[0-3]|~[012]|)){0,4}", "(/(a|b|-|-?[0-3])){0,3}"),
            0..12,
        ),
    ) {
        let patch: Vec<Value> = operations
            .into_iter()
            .map(|(op, path, from)| json!({"op": op, "path": path, "from": from, "value": {"a": [1, {"b": 2}]}}))
            .collect();
        let _ = check(r#"{"a":[{"b":[]},2],"b":{"a":{}}}"#, &Value::from(patch).to_string());
    }
}
