use super::*;
use crate::catalog::catalog;
use proptest::prelude::*;
use serde_json::json;
use std::sync::Arc;

fn kind(group: &str, version: &str, kind: &str) -> Arc<Schema> {
    catalog().kind(group, version, kind).expect("a built-in kind")
}

fn deployment() -> Arc<Schema> {
    kind("apps", "v1", "Deployment")
}

fn pod_spec(spec: Value) -> Value {
    json!({"spec": {"template": {"spec": spec}}})
}

fn run(doc: &Value, patch: &Value, schema: &Schema) -> Result<Value, PatchError> {
    apply(doc, patch.to_string().as_bytes(), schema)
}

/// Both sides stand for `spec.template.spec` of a Deployment.
fn check(doc: Value, patch: Value, result: Value) {
    let (doc, patch) = (pod_spec(doc), pod_spec(patch));
    assert_eq!(run(&doc, &patch, &deployment()).unwrap(), pod_spec(result), "{patch}");
}

fn refuse(doc: Value, patch: Value) -> PatchError {
    run(&pod_spec(doc), &pod_spec(patch), &deployment()).unwrap_err()
}

fn two_containers() -> Value {
    json!({"containers": [{"name": "a", "image": "a:1"}, {"name": "b", "image": "b:1"}]})
}

#[test]
fn lists_of_objects_merge_by_key() {
    check(
        two_containers(),
        json!({"containers": [{"name": "a", "image": "a:2"}]}),
        json!({"containers": [{"name": "a", "image": "a:2"}, {"name": "b", "image": "b:1"}]}),
    );
    check(
        two_containers(),
        json!({"containers": [{"name": "c"}]}),
        json!({"containers": [{"name": "c"}, {"name": "a", "image": "a:1"}, {"name": "b", "image": "b:1"}]}),
    );
    check(
        two_containers(),
        json!({"containers": [{"name": "b", "image": null}, {"name": "a", "env": [{"name": "X", "value": null}]}]}),
        json!({"containers": [{"name": "b"}, {"name": "a", "image": "a:1", "env": [{"name": "X"}]}]}),
    );
    // Ports merge by number alone.
    check(
        json!({"containers": [{"name": "a", "ports": [{"containerPort": 80, "protocol": "TCP"}]}]}),
        json!({"containers": [{"name": "a", "ports": [{"containerPort": 80, "protocol": "UDP"}, {"containerPort": 81}]}]}),
        json!({"containers": [{"name": "a", "ports": [{"containerPort": 80, "protocol": "UDP"}, {"containerPort": 81}]}]}),
    );
}

#[test]
fn lists_without_strategy_are_replaced() {
    check(
        json!({"tolerations": [{"key": "t"}], "containers": [{"name": "a", "command": ["x"]}]}),
        json!({"tolerations": [{"key": "u"}], "containers": [{"name": "a", "command": ["y", "z"]}]}),
        json!({"tolerations": [{"key": "u"}], "containers": [{"name": "a", "command": ["y", "z"]}]}),
    );
}

#[test]
fn patch_directives_in_lists() {
    check(
        two_containers(),
        json!({"containers": [{"name": "a", "$patch": "delete"}]}),
        json!({"containers": [{"name": "b", "image": "b:1"}]}),
    );
    check(two_containers(), json!({"containers": [{"name": "zzz", "$patch": "delete"}]}), two_containers());
    check(
        two_containers(),
        json!({"containers": [{"$patch": "replace"}, {"name": "only"}]}),
        json!({"containers": [{"name": "only"}]}),
    );
    // Deletion of what is not there creates nothing.
    check(json!({}), json!({"containers": [{"name": "a", "$patch": "delete"}]}), json!({"containers": []}));
    check(json!({}), json!({"nodeSelector": {"$patch": "delete"}}), json!({}));
}

#[test]
fn patch_directives_in_objects() {
    let doc = json!({"nodeSelector": {"a": "1", "b": "2"}});
    check(doc.clone(), json!({"nodeSelector": {"$patch": "replace", "c": "3"}}), json!({"nodeSelector": {"c": "3"}}));
    check(doc.clone(), json!({"nodeSelector": {"$patch": "delete"}}), json!({"nodeSelector": {}}));
    check(doc.clone(), json!({"nodeSelector": {"a": null, "d": "4"}}), json!({"nodeSelector": {"b": "2", "d": "4"}}));
    check(doc, json!({"nodeSelector": null}), json!({}));
    check(json!({}), json!({"nodeSelector": {"c": null, "d": "4"}}), json!({"nodeSelector": {"d": "4"}}));
    let whole = |patch| run(&json!({"metadata": {"name": "web"}, "spec": {}}), &patch, &deployment()).unwrap();
    assert_eq!(whole(json!({"$patch": "delete"})), json!({}));
    assert_eq!(whole(json!({"$patch": "replace", "metadata": {"name": "x"}})), json!({"metadata": {"name": "x"}}));
}

#[test]
fn lists_of_scalars_merge_as_sets() {
    let schema = deployment();
    let metadata = |finalizers: Value| json!({"metadata": {"finalizers": finalizers}});
    for (doc, patch, result) in [
        (json!(["a", "b"]), json!({"finalizers": ["c"]}), json!(["c", "a", "b"])),
        (json!(["a", "b"]), json!({"finalizers": ["b", "a"]}), json!(["b", "a"])),
        (json!(["a", "b", "c"]), json!({"finalizers": ["c"]}), json!(["a", "b", "c"])),
        (json!(["a", "b"]), json!({"$deleteFromPrimitiveList/finalizers": ["a", "x"]}), json!(["b"])),
        (
            json!(["a", "b"]),
            json!({"$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c"]}),
            json!(["c", "b"]),
        ),
        (json!(["b", "c"]), json!({"$setElementOrder/finalizers": ["c", "b"]}), json!(["c", "b"])),
        (
            json!(["b", "c"]),
            json!({"$setElementOrder/finalizers": ["d", "c"], "finalizers": ["d"]}),
            json!(["d", "b", "c"]),
        ),
    ] {
        let result = metadata(result);
        let got = run(&metadata(doc), &json!({"metadata": patch}), &schema).unwrap();
        assert_eq!(got, result, "{patch}");
    }
    let nothing =
        run(&json!({"metadata": {}}), &json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}}), &schema);
    assert_eq!(nothing.unwrap(), json!({"metadata": {}}));
}

#[test]
fn order_directives() {
    let (a, b) = (json!({"name": "a", "image": "a:1"}), json!({"name": "b", "image": "b:1"}));
    check(
        two_containers(),
        json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}], "containers": [{"name": "b", "image": "b:2"}]}),
        json!({"containers": [{"name": "b", "image": "b:2"}, a]}),
    );
    check(
        two_containers(),
        json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}),
        json!({"containers": [b, a]}),
    );
    check(
        two_containers(),
        json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "c"}],
               "containers": [{"name": "c"}, {"name": "a", "$patch": "delete"}]}),
        json!({"containers": [b, {"name": "c"}]}),
    );
    check(
        json!({}),
        json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "c"}], "containers": [{"name": "b"}, {"name": "c"}]}),
        json!({"containers": [{"name": "b"}, {"name": "c"}]}),
    );
    check(json!({}), json!({"$setElementOrder/containers": [{"name": "b"}]}), json!({}));
}

#[test]
fn retained_keys() {
    check(
        json!({"volumes": [{"name": "v", "emptyDir": {}}]}),
        json!({"volumes": [{"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/x"}}]}),
        json!({"volumes": [{"name": "v", "hostPath": {"path": "/x"}}]}),
    );
    let doc = json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}});
    let patch = json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}});
    assert_eq!(run(&doc, &patch, &deployment()).unwrap(), json!({"spec": {"strategy": {"type": "Recreate"}}}));
}

#[test]
fn refusals_read_as_the_servers() {
    let internal = |text: &str| PatchError::Internal(text.to_owned());
    let bad = |text: &str| PatchError::BadRequest(text.to_owned());
    for (doc, patch, error) in [
        (
            two_containers(),
            json!({"$setElementOrder/containers": [{"name": "a"}], "containers": [{"name": "b", "image": "b:3"}]}),
            internal(
                "The order in patch list:\n[map[image:b:3 name:b]]\n doesn't match $setElementOrder list:\n\
                 [map[name:a]]\n",
            ),
        ),
        (
            two_containers(),
            json!({"containers": [{"image": "x"}]}),
            internal("map: map[image:x] does not contain declared merge key: name"),
        ),
        (
            two_containers(),
            json!({"containers": [{"name": "a", "$patch": "explode"}]}),
            internal("unknown patch type: explode in map: map[$patch:explode name:a]"),
        ),
        (
            two_containers(),
            json!({"containers": [{"$patch": "merge"}]}),
            internal("merging lists cannot yet be specified in the patch"),
        ),
        (
            json!({"nodeSelector": {"a": "1"}}),
            json!({"nodeSelector": {"$patch": "explode"}}),
            internal("unknown patch type: explode in map: map[$patch:explode]"),
        ),
        (
            json!({"containers": [{"name": "a"}]}),
            json!({"$deleteFromPrimitiveList/containers": ["a"]}),
            internal("list element types are not identical: [[map[name:a]] [a]]"),
        ),
        (
            two_containers(),
            json!({"$setElementOrder/containers": "a"}),
            internal("expected a []interface {}, but received a string"),
        ),
        (
            two_containers(),
            json!({"$setElementOrder/nothing": []}),
            internal("unable to find api field in struct PodSpec for the json field \"nothing\""),
        ),
        (two_containers(), json!({"$setElementOrder": []}), bad("invalid patch format of setElementOrder list")),
        (two_containers(), json!({"$deleteFromPrimitiveListX/a": []}), bad("invalid patch format of primitive list")),
        (
            json!({"volumes": [{"name": "v"}]}),
            json!({"volumes": [{"name": "v", "$retainKeys": ["name"], "hostPath": {}}]}),
            bad("invalid patch format of retainKeys"),
        ),
        (
            json!({"volumes": [{"name": "v"}]}),
            json!({"volumes": [{"name": "v", "$retainKeys": "name"}]}),
            bad("invalid patch format of retainKeys"),
        ),
        (
            json!({"imagePullSecrets": [{"name": "a"}]}),
            json!({"imagePullSecrets": [[1]]}),
            internal("list element types are not identical: [[map[name:a]] [[1]]]"),
        ),
    ] {
        assert_eq!(refuse(doc, patch.clone()), error, "{patch}");
    }
}

#[test]
fn malformed_patches() {
    let error = |patch: &str| StrategicPatch::decode(patch.as_bytes()).unwrap_err();
    let bad = |text: &str| PatchError::BadRequest(text.to_owned());
    assert_eq!(error("[]"), bad("json: cannot unmarshal array into Go value of type map[string]interface {}"));
    assert_eq!(error("{"), bad("unexpected end of JSON input"));
    assert_eq!(error(""), bad("unexpected end of JSON input"));
    assert!(StrategicPatch::decode(b"null").unwrap().is_empty());
    let patch = StrategicPatch::decode(br#"{"data":{"k":"1","k":"2"},"nothing":1}"#).unwrap();
    assert_eq!(patch.strict_errors, [r#"duplicate field "data.k""#]);
    assert_eq!(patch.shown(), "map[data:map[k:2] nothing:1]");
    assert!(StrategicPatch::decode(("{\"a\":".repeat(300) + "1" + &"}".repeat(300)).as_bytes()).is_err());
}

#[test]
fn services_merge_ports_by_number() {
    let service = kind("", "v1", "Service");
    let ports = |ports: Value| json!({"spec": {"ports": ports}});
    let doc = ports(json!([{"name": "a", "port": 1}, {"name": "b", "port": 2}]));
    for (patch, result) in [
        (
            json!([{"port": 1, "targetPort": 10}]),
            json!([{"name": "a", "port": 1, "targetPort": 10}, {"name": "b", "port": 2}]),
        ),
        (json!([{"port": 2, "$patch": "delete"}]), json!([{"name": "a", "port": 1}])),
        (json!([{"$patch": "replace"}, {"port": 4}]), json!([{"port": 4}])),
    ] {
        assert_eq!(run(&doc, &ports(patch.clone()), &service).unwrap(), ports(result), "{patch}");
    }
    let patch = json!({"spec": {"ports": [{"port": 3}], "$setElementOrder/ports": [{"port": 3}, {"port": 1}]}});
    assert_eq!(
        run(&doc, &patch, &service).unwrap(),
        ports(json!([{"port": 3}, {"name": "a", "port": 1}, {"name": "b", "port": 2}]))
    );
}

#[test]
fn types_of_the_result() {
    let schema = deployment();
    let wrong = |value: Value| check_types(&value, &schema).unwrap_err();
    assert_eq!(wrong(pod_spec(json!({"containers": {"name": "a"}}))), "cannot restore slice from map");
    assert_eq!(wrong(pod_spec(json!({"containers": "a"}))), "cannot restore slice from string");
    assert_eq!(wrong(json!({"spec": {"replicas": "three"}})), "unrecognized type: int32");
    assert_eq!(wrong(json!({"spec": 5})), "cannot restore struct from: int64");
    assert_eq!(wrong(json!({"metadata": {"labels": []}})), "cannot restore map from slice");
    let fine = json!({"metadata": {"labels": {"a": "b"}, "unknown": 1}, "spec": {"replicas": 2.0, "paused": true}});
    assert_eq!(check_types(&fine, &schema), Ok(()));
}

#[test]
fn long_lists_take_no_quadratic_time() {
    let list = |from: usize| -> Vec<Value> {
        (from..from + 20_000).map(|n| json!({"name": format!("e{n}"), "value": "1"})).collect()
    };
    let (doc, patch) = (
        json!({"containers": [{"name": "a", "env": list(0)}]}),
        json!({"containers": [{"name": "a", "env": list(10_000)}]}),
    );
    let merged = run(&pod_spec(doc), &pod_spec(patch), &deployment()).unwrap();
    let env = merged.pointer("/spec/template/spec/containers/0/env").and_then(Value::as_array).unwrap();
    assert_eq!(env.len(), 30_000);
}

fn any_patch() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(vec!["a", "b", "c"]);
    let directive =
        prop_oneof![4 => Just(None), 1 => prop::sample::select(vec!["delete", "replace", "merge"]).prop_map(Some)];
    let item = (name.clone(), directive, any::<bool>()).prop_map(|(name, directive, keyed)| {
        let mut item = json!({"image": "i"});
        if keyed {
            item["name"] = json!(name);
        }
        if let Some(directive) = directive {
            item["$patch"] = json!(directive);
        }
        item
    });
    let order = prop::collection::vec(name.prop_map(|name| json!({"name": name})), 0..4);
    (prop::collection::vec(item, 0..4), prop::option::of(order), any::<bool>()).prop_map(|(items, order, null)| {
        let mut spec = json!({"containers": if null { Value::Null } else { Value::from(items) }});
        if let Some(order) = order {
            spec["$setElementOrder/containers"] = Value::from(order);
        }
        spec
    })
}

proptest! {
    #[test]
    fn no_patch_panics(doc in any_patch(), patch in any_patch()) {
        let _ = run(&pod_spec(doc), &pod_spec(patch), &deployment());
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = StrategicPatch::decode(&bytes);
    }

    #[test]
    fn merging_keeps_every_item_once(names in prop::collection::btree_set("[a-f]", 0..6), more in prop::collection::btree_set("[a-f]", 0..6)) {
        let items = |names: &std::collections::BTreeSet<String>| -> Value { names.iter().map(|n| json!({"name": n})).collect() };
        let merged = run(&pod_spec(json!({"containers": items(&names)})), &pod_spec(json!({"containers": items(&more)})), &deployment()).unwrap();
        let mut got: Vec<&str> = merged.pointer("/spec/template/spec/containers").and_then(Value::as_array).unwrap()
            .iter().map(|item| item["name"].as_str().unwrap()).collect();
        got.sort_unstable();
        let expected: Vec<&str> = names.union(&more).map(String::as_str).collect();
        prop_assert_eq!(got, expected);
    }
}
