use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Writes `tag` and a length-delimited content.
fn nest(number: u32, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    prost::encoding::encode_key(number, WireType::LengthDelimited, &mut out);
    prost::encoding::encode_varint(content.len() as u64, &mut out);
    out.extend_from_slice(content);
    out
}

fn varint(number: u32, value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    prost::encoding::encode_key(number, WireType::Varint, &mut out);
    prost::encoding::encode_varint(value, &mut out);
    out
}

fn kind(group: &str, version: &str, kind: &str) -> std::sync::Arc<Schema> {
    crate::catalog().kind(group, version, kind).unwrap()
}

#[test]
fn a_config_map_in_its_envelope() {
    let meta = [nest(1, b"a"), nest(3, b""), varint(7, 0), nest(8, b"")].concat();
    let pair = |k: &[u8], v: &[u8]| [nest(1, k), nest(2, v)].concat();
    let raw = [nest(1, &meta), nest(2, &pair(b"x", b"y")), nest(3, &pair(b"b", b"\x00\xff"))].concat();
    let body = [MAGIC.to_vec(), nest(1, &[nest(1, b"v1"), nest(2, b"ConfigMap")].concat()), nest(2, &raw)].concat();
    let envelope = open(&body).unwrap();
    assert_eq!(envelope.type_meta, TypeMeta { api_version: "v1".into(), kind: "ConfigMap".into() });
    let object = decode(envelope.raw, &kind("", "v1", "ConfigMap")).unwrap();
    assert_eq!(object, json!({"metadata": {"name": "a"}, "data": {"x": "y"}, "binaryData": {"b": "AP8="}}));
}

#[test]
fn numbers_ports_and_quantities_of_a_deployment() {
    let port = [nest(1, b""), varint(2, 0), varint(3, 8080), nest(4, b"TCP")].concat();
    let limits = nest(1, &[nest(1, b"cpu"), nest(2, &nest(1, b"500m"))].concat());
    let probe = nest(1, &nest(2, &[nest(1, b"/ok"), nest(2, &[varint(1, 1), nest(3, b"http")].concat())].concat()));
    let container = [nest(1, b"web"), nest(3, b""), nest(3, b"-v"), nest(6, &port), nest(8, &limits), nest(11, &probe)];
    let pod = nest(2, &nest(2, &container.concat()));
    let raw = nest(2, &[varint(1, 0), nest(3, &pod)].concat());
    let object = decode(&raw, &kind("apps", "v1", "Deployment")).unwrap();
    assert_eq!(object["spec"]["replicas"], 0, "a pointer keeps its zero");
    let container = &object["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["command"], json!(["", "-v"]), "items keep their zeros");
    assert_eq!(container["ports"], json!([{"containerPort": 8080, "protocol": "TCP"}]));
    assert_eq!(container["resources"]["limits"], json!({"cpu": "500m"}));
    assert_eq!(container["readinessProbe"]["httpGet"], json!({"path": "/ok", "port": "http"}));
}

/// Every kind as Go writes it, beside its JSON. The samples are in Debian's golang-k8s-api-dev (see
/// `generate/README.md`).
#[test]
#[ignore = "needs KUORUM_GO_SAMPLES, a directory of Go's samples"]
fn gos_samples() {
    let samples = std::path::PathBuf::from(std::env::var_os("KUORUM_GO_SAMPLES").expect("KUORUM_GO_SAMPLES"));
    let (mut differing, mut rewritten) = (Vec::new(), Vec::new());
    let mut count = 0;
    for entry in std::fs::read_dir(samples).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "pb") {
            continue;
        }
        let body = std::fs::read(&path).unwrap();
        let envelope = open(&body).unwrap();
        let meta = &envelope.type_meta;
        let (group, version) = meta.api_version.split_once('/').unwrap_or(("", &meta.api_version));
        let Some(schema) = crate::catalog().kind(group, version, &meta.kind) else { continue };
        let json = std::fs::read(path.with_extension("json")).unwrap();
        let mut want = crate::codec::decode_json(&json, &schema).unwrap().value;
        want.as_object_mut().unwrap().retain(|name, _| name != "kind" && name != "apiVersion");
        let mut again = Vec::new();
        if let Ok(object) = decode(envelope.raw, &schema) {
            let mut raw = Vec::new();
            encode(&object, &schema, &mut raw);
            seal(&meta.api_version, &meta.kind, &raw, &mut again);
        }
        if again != body {
            rewritten.push(path.file_name().map(std::ffi::OsStr::to_owned));
        }
        let got = decode(envelope.raw, &schema).and_then(|v| crate::codec::decode_value(&v, &schema));
        count += 1;
        if got.as_ref().ok().map(|d| &d.value) != Some(&want) {
            differing.push((path.file_name().map(std::ffi::OsStr::to_owned), got.err()));
        }
    }
    assert!(count > 100, "only {count} samples");
    assert!(rewritten.is_empty(), "{} of {count} are written otherwise: {rewritten:?}", rewritten.len());
    assert!(differing.is_empty(), "{} of {count} differ: {differing:?}", differing.len());
}

#[test]
fn malformed_bodies_are_refused() {
    let schema = kind("", "v1", "Pod");
    assert!(open(b"{}").is_err());
    assert!(open(b"k8s\0\x0a\x7f").is_err(), "a length beyond the end");
    assert!(decode(b"\x0b", &schema).is_err(), "a group");
    assert!(decode(&nest(1, &nest(1, b"\xff")), &schema).is_err(), "not UTF-8");
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        let _ = open(&[MAGIC, &bytes[..]].concat());
        for (group, name) in [("", "Pod"), ("", "Service"), ("apps", "Deployment")] {
            let _ = decode(&bytes, &kind(group, "v1", name));
        }
    }
}

/// Small and repeatable.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Dice(seed)
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    /// A value of the type, fewer fields set the deeper it is.
    pub(super) fn value(&mut self, schema: &Schema, depth: u64) -> Value {
        match schema.node() {
            Node::Object(object) => {
                let mut members = Fields::new();
                for field in object.fields() {
                    if !field.proto_path().is_empty() && self.roll(2 + depth * depth) < 2 {
                        members.insert(field.name().to_owned(), self.value(field.schema(), depth + 1));
                    }
                }
                Value::Object(members)
            }
            Node::List(list) => (0..self.roll(3)).map(|_| self.value(list.items(), depth + 1)).collect(),
            Node::Map(map) => {
                let pairs = (0..self.roll(3)).map(|at| (format!("k{at}"), self.value(map.values(), depth + 1)));
                Value::Object(pairs.collect())
            }
            Node::Scalar(kind) => match kind {
                ScalarKind::String => json!(["", "a", "ünï", "b\"\\\n"][self.roll(4) as usize]),
                ScalarKind::Bool => json!(self.roll(2) == 1),
                ScalarKind::Int32 => json!([0, 1, -1, i32::MAX, i32::MIN][self.roll(5) as usize]),
                ScalarKind::Int64 => json!([0, 1, -1, i64::MAX, i64::MIN][self.roll(5) as usize]),
                ScalarKind::Float64 => json!([0.0, 1.5, -2.25][self.roll(3) as usize]),
                ScalarKind::Bytes => json!(["", "AP8=", "YQ=="][self.roll(3) as usize]),
                ScalarKind::Time => json!("2026-11-23T12:34:56Z"),
                ScalarKind::MicroTime => json!("2026-11-23T12:34:56.000789Z"),
                ScalarKind::Quantity => json!(["0", "500m", "1Gi", "-3"][self.roll(4) as usize]),
            },
            Node::IntOrString => [json!(0), json!(8080), json!("http"), json!("")][self.roll(4) as usize].clone(),
            Node::Any(AnyKind::Json) => [json!({"a": [1, null]}), json!("x"), json!(3)][self.roll(3) as usize].clone(),
            Node::Any(_) => json!({"f:metadata": {"f:labels": {}}}),
            Node::Union(union) => match (self.roll(2), union.list()) {
                (0, _) if union.allows_bool() => json!(self.roll(2) == 1),
                (0, Some(list)) => self.value(list, depth + 1),
                _ => self.value(union.object(), depth + 1),
            },
        }
    }
}

#[test]
fn json_through_protobuf_is_the_same_json_for_every_kind() {
    let mut dice = Dice::new(1);
    let mut kinds = 0;
    let mut names: Vec<_> = crate::catalog().kind_names().collect();
    names.sort_unstable();
    for name in names {
        let parts: Vec<&str> = name.split('/').collect();
        let schema = kind(parts[0], parts[1], parts[2]);
        // A few kinds exist as JSON only.
        if schema.as_object().is_none_or(|object| object.by_proto().is_empty()) {
            continue;
        }
        kinds += 1;
        for _ in 0..20 {
            let object = crate::codec::decode_value(&dice.value(&schema, 0), &schema).unwrap().value;
            let mut message = Vec::new();
            encode(&object, &schema, &mut message);
            let back = crate::codec::decode_value(&decode(&message, &schema).unwrap(), &schema).unwrap().value;
            assert_eq!(back, object, "{name}");
        }
    }
    assert!(kinds > 150, "only {kinds} kinds");
}
