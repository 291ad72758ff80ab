use super::*;
use proptest::prelude::*;
use serde_json::json;

fn read(yaml: &str) -> Value {
    to_json(yaml.as_bytes()).unwrap_or_else(|error| panic!("{yaml}: {error}")).value
}

fn error(yaml: &str) -> String {
    to_json(yaml.as_bytes()).unwrap_err().to_string()
}

#[test]
fn plain_scalars() {
    for (yaml, value) in [
        ("", json!(null)),
        ("~", json!(null)),
        ("NULL", json!(null)),
        ("nUll", json!("nUll")),
        ("yes", json!(true)),
        ("On", json!(true)),
        ("y", json!(true)),
        ("OFF", json!(false)),
        ("oN", json!("oN")),
        ("12", json!(12)),
        ("+12", json!(12)),
        ("-12", json!(-12)),
        ("1_000", json!(1000)),
        ("0x1F", json!(31)),
        ("-0x1F", json!(-31)),
        ("0777", json!(511)),
        ("0o14", json!(12)),
        ("0b101", json!(5)),
        ("-0b101", json!(-5)),
        ("0999", json!(999)),
        ("00", json!(0)),
        ("18446744073709551615", json!(18_446_744_073_709_551_615_u64)),
        ("-9223372036854775808", json!(i64::MIN)),
        ("1.5", json!(1.5)),
        ("1.0", json!(1)),
        ("1e3", json!(1000)),
        ("1.", json!(1)),
        (".5", json!(0.5)),
        ("-.5", json!(-0.5)),
        ("1e400", json!("1e400")),
        ("1e", json!("1e")),
        (".", json!(".")),
        ("-", json!([null])),
        ("+-1", json!("+-1")),
        ("0x", json!("0x")),
        ("0x-1", json!("0x-1")),
        ("1.2.3", json!("1.2.3")),
        ("12:30:45", json!("12:30:45")),
        ("2001-12-14", json!("2001-12-14")),
        ("2001-12-14T21:59:43Z", json!("2001-12-14T21:59:43Z")),
        ("infinity", json!("infinity")),
        ("nan", json!("nan")),
        ("=", json!("=")),
        ("'12'", json!("12")),
        ("\"yes\"", json!("yes")),
        ("\"a\\x41\\u00e9\\n\"", json!("aAé\n")),
        ("!!str 12", json!("12")),
        ("!!int '12'", json!(12)),
        ("!!float 12", json!(12)),
        ("!!binary aGk=", json!("hi")),
        ("!!binary |\n  aG\n  k=\n", json!("hi")),
        ("!custom 12", json!("12")),
        ("|\n two\n  lines\n", json!("two\n lines\n")),
        (">-\n two\n lines\n", json!("two lines")),
    ] {
        assert_eq!(read(yaml), value, "{yaml:?}");
    }
}

#[test]
fn collections() {
    for (yaml, value) in [
        ("a: 1\nb:\n- x\n- k: z\n", json!({"a": 1, "b": ["x", {"k": "z"}]})),
        ("{a: [1, {b: c}], d: }", json!({"a": [1, {"b": "c"}], "d": null})),
        ("{\"a\":{\"b\":[]}}", json!({"a": {"b": []}})),
        ("# only a comment\n", json!(null)),
        ("a: 1\n---\nb: [", json!({"a": 1})),
        ("---\na: 1\n...\nb: 2", json!({"a": 1})),
        ("1: a\ntrue: b\n1.5: c\non: d\n", json!({"1": "a", "true": "d", "1.5": "c"})),
        ("? a\n: b\n", json!({"a": "b"})),
        ("a: &x {k: v}\nb: *x\n", json!({"a": {"k": "v"}, "b": {"k": "v"}})),
        ("&k a: *k", json!({"a": "a"})),
        ("base: &b {x: 1, z: 2}\nd:\n  <<: *b\n  z: 3\n", json!({"base": {"x": 1, "z": 2}, "d": {"x": 1, "z": 3}})),
        ("- &a {x: 1}\n- &b {x: 2, z: 2}\n- <<: [*a, *b]\n", json!([{"x": 1}, {"x": 2, "z": 2}, {"x": 1, "z": 2}])),
        ("'<<': 1", json!({"<<": 1})),
        ("\u{feff}a: b", json!({"a": "b"})),
        // What libyaml takes and others do not.
        ("command: [\n  \"a\",\n  \"b\"\n]\n", json!({"command": ["a", "b"]})),
        ("a: {\n}\n", json!({"a": {}})),
        ("a:\t1\nb:\tx\n", json!({"a": 1, "b": "x"})),
        ("[\n\t{\n\t\t\"a\":\t1\n\t}\n]", json!([{"a": 1}])),
        ("a: \"x\n\ty\"\n", json!({"a": "x y"})),
        ("a:\r\n- b\r\n- c\r\n", json!({"a": ["b", "c"]})),
        ("a: b\n  c\n\n  d\n", json!({"a": "b c\nd"})),
        ("a: |2-\n   x\n  y\n\nb: >+\n  p\n  q\n\n", json!({"a": " x\ny", "b": "p q\n\n"})),
        ("a: \"x\\\n  y\\tz\"", json!({"a": "xy\tz"})),
        ("a: 'it''s'", json!({"a": "it's"})),
        ("[a: b, ? c, {d}]", json!([{"a": "b"}, {"c": null}, {"d": null}])),
        ("%YAML 1.1\n%TAG !e! tag:yaml.org,2002:\n---\na: !e!str 5\n", json!({"a": "5"})),
        ("! 5", json!(5)),
        ("!!str", json!("")),
    ] {
        assert_eq!(read(yaml), value, "{yaml:?}");
    }
}

#[test]
fn duplicate_keys_are_noted() {
    let document = to_json(b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: y6}\ndata: {k: v, k: w}\n").unwrap();
    assert_eq!(document.value["data"], json!({"k": "w"}));
    assert_eq!(document.duplicates, [r#"line 4: key "k" already set in map"#]);
    let document = to_json(b"1: a\n1: b\nx: 1\nx:\n  y: 1\n").unwrap();
    assert_eq!(
        document.strict_error().unwrap(),
        "yaml: unmarshal errors:\n  line 2: key 1 already set in map\n  line 5: key \"x\" already set in map"
    );
    assert_eq!(to_json(b"a: 1").unwrap().strict_error(), None);
}

#[test]
fn errors_as_go_yaml_words_them() {
    for (yaml, message) in [
        ("a: [", "yaml: line 1: did not find expected node content"),
        ("{not: [yaml", "yaml: line 1: did not find expected ',' or ']'"),
        ("{a: b", "yaml: line 1: did not find expected ',' or '}'"),
        ("\tx: 1", "yaml: found character that cannot start any token"),
        ("a: b: c", "yaml: mapping values are not allowed in this context"),
        (
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n\tk: v\n",
            "yaml: line 6: found character that cannot start any token",
        ),
        ("a: b\n c: d\n", "yaml: line 2: mapping values are not allowed in this context"),
        ("a: *x", "yaml: unknown anchor 'x' referenced"),
        ("a: &x [*x]", "yaml: anchor 'x' value contains itself"),
        ("{? [a] : b}", "yaml: invalid map key: []interface {}{\"a\"}"),
        ("a: !!int x", "yaml: cannot decode !!str `x` as a !!int"),
        ("a: !!binary '*'", "yaml: !!binary value contains invalid base64 data"),
        ("<<: 1", "yaml: map merge requires map or sequence of maps as the value"),
        ("a: \u{1}", "yaml: control characters are not allowed"),
        ("a: .inf", "json: unsupported value: +Inf"),
        ("a: \"x", "yaml: found unexpected end of stream"),
        ("@a", "yaml: found character that cannot start any token"),
        ("- a\nb: c\n", "yaml: line 1: did not find expected '-' indicator"),
        ("a: b\n- c\n", "yaml: line 1: did not find expected key"),
        ("a:\n  b: 1\n c: 2\n", "yaml: line 2: did not find expected key"),
        ("a: 1\n}\n", "yaml: line 1: did not find expected key"),
        ("a: 'x\nb: y\n", "yaml: line 3: found unexpected end of stream"),
        ("a: b\nc\n", "yaml: line 3: could not find expected ':'"),
        ("a: \"\\q\"", "yaml: found unknown escape character"),
        ("a: \"\\u12\"", "yaml: did not find expected hexdecimal number"),
        ("a: \"\\ud800\"", "yaml: found invalid Unicode character escape code"),
        ("a: \"\\", "yaml: found unknown escape character"),
        ("a: !x!y z", "yaml: found undefined tag handle"),
        ("[!t,a]", "yaml: line 1: did not find expected ',' or ']'"),
        ("%FOO\n---\na", "yaml: found unknown directive name"),
        ("- \ta: b", "yaml: found character that cannot start any token"),
        ("a: |\n  x\n\ty\n", "yaml: line 3: found a tab character where an indentation space is expected"),
    ] {
        assert_eq!(error(yaml), message, "{yaml:?}");
    }
    assert_eq!(to_json(b"a: \xff").unwrap_err().to_string(), "yaml: invalid leading UTF-8 octet");
    assert_eq!(to_json(b"a: \xc3").unwrap_err().to_string(), "yaml: incomplete UTF-8 octet sequence");
    assert!(to_json(b"~: 1").is_err());
}

#[test]
fn nesting_is_bounded() {
    for deep in ["[".repeat(20_000), "{a: ".repeat(20_000), "- ".repeat(20_000), "? ".repeat(20_000)] {
        let message = error(&deep);
        assert!(message.ends_with("exceeded max depth of 10000"), "{message}");
    }
    let lines: String = (0..2000).map(|n| format!("{}a:\n", " ".repeat(n))).collect();
    assert!(error(&lines).ends_with("exceeded max depth of 10000"));
    let fine = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    assert!(to_json(fine.as_bytes()).is_ok());
}

#[test]
fn aliases_cannot_expand_without_end() {
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..10 {
        let items = vec![format!("*a{}", n - 1); 10].join(", ");
        laughs.push_str(&format!("a{n}: &a{n} [{items}]\n"));
    }
    assert_eq!(error(&laughs), "yaml: document contains excessive aliasing");
    let long = format!("a: &a \"{}\"\nb: [{}]\n", "x".repeat(1 << 20), vec!["*a"; 100].join(", "));
    assert_eq!(error(&long), "yaml: document contains excessive aliasing");
    let fair = format!("a: &a {{k: v}}\nb: [{}]\n", vec!["*a"; 90].join(", "));
    assert_eq!(read(&fair)["b"].as_array().unwrap().len(), 90);
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = to_json(&bytes);
    }

    #[test]
    fn no_yaml_like_text_panics(text in "([-?:,\\[\\]{}#&*!|>'\"%@ \n\tab<0.]|<<: |&a |\\*a|- ){0,40}") {
        let _ = to_json(text.as_bytes());
    }

    #[test]
    fn json_is_yaml(
        value in prop::collection::btree_map("[a-e]{2,5}", prop_oneof![
            any::<i64>().prop_map(Value::from),
            "[ -~]{0,12}".prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            Just(Value::Null),
        ], 0..6),
    ) {
        let value = serde_json::to_value(value).unwrap();
        prop_assert_eq!(read(&value.to_string()), value);
    }
}
