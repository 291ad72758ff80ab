use serde_json::{Value, json};

use super::*;

fn verdict(policy: &str, metadata: &Value, spec: &Value) -> Verdict {
    let (level, version) = policy.split_once(':').unwrap();
    let policy = LevelVersion { level: Level::parse(level).unwrap(), version: Version::parse(version).unwrap() };
    evaluate(policy, &Pod { metadata, spec })
}

fn details(policy: &str, spec: &Value) -> String {
    verdict(policy, &json!({}), spec).details()
}

/// A container called `name` with a security context.
fn container(name: &str, context: Value) -> Value {
    json!({"name": name, "securityContext": context})
}

/// What the restricted level asks for.
fn hardened(mut spec: Value) -> Value {
    let own = spec["securityContext"].as_object().cloned().unwrap_or_default();
    let mut context = json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}});
    context.as_object_mut().unwrap().extend(own);
    spec["securityContext"] = context;
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        for container in spec[list].as_array_mut().into_iter().flatten() {
            let own = container["securityContext"].as_object().cloned().unwrap_or_default();
            let mut context = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
            context.as_object_mut().unwrap().extend(own);
            container["securityContext"] = context;
        }
    }
    spec
}

#[test]
fn checks_are_listed_by_level_and_id_with_rising_revisions() {
    let mut sorted: Vec<(Level, &str)> = CHECKS.iter().map(|c| (c.level, c.id)).collect();
    sorted.sort_unstable();
    assert_eq!(sorted, CHECKS.iter().map(|c| (c.level, c.id)).collect::<Vec<_>>());
    assert_eq!(CHECKS.len(), 19);
    for check in CHECKS {
        assert!(check.revisions.is_sorted_by_key(|(since, _)| since), "{}", check.id);
        assert!(check.replaces.iter().all(|id| CHECKS.iter().any(|c| c.id == *id && c.level == Level::Baseline)));
    }
}

#[test]
fn baseline_refuses() {
    let rows: [(Value, &str); 23] = [
        (json!({"hostPID": true, "hostIPC": true}), "host namespaces (hostPID=true, hostIPC=true)"),
        (json!({"hostNetwork": true}), "host namespaces (hostNetwork=true)"),
        (
            json!({"initContainers": [container("i", json!({"privileged": true}))],
                   "containers": [container("a", json!({"privileged": true})), container("b", json!({}))],
                   "ephemeralContainers": [container("e", json!({"privileged": true}))]}),
            r#"privileged (containers "i", "a", "e" must not set securityContext.privileged=true)"#,
        ),
        (
            json!({"containers": [container("a", json!({"capabilities": {"add": ["SYS_TIME", "NET_RAW", "KILL"]}}))]}),
            r#"non-default capabilities (container "a" must not include "NET_RAW", "SYS_TIME" in securityContext.capabilities.add)"#,
        ),
        (
            json!({"volumes": [{"name": "a", "hostPath": {"path": "/"}}, {"name": "b", "emptyDir": {}}]}),
            r#"hostPath volumes (volume "a")"#,
        ),
        (
            json!({"containers": [{"name": "a", "ports": [{"hostPort": 80}, {"hostPort": 9}, {"containerPort": 1}]},
                                  {"name": "b", "ports": [{"hostPort": 80}]}]}),
            r#"hostPort (containers "a", "b" use hostPorts 80, 9)"#,
        ),
        (
            json!({"containers": [{"name": "a", "livenessProbe": {"tcpSocket": {"host": "h"}}, "lifecycle": {"preStop": {"httpGet": {"host": "g"}}}}]}),
            r#"probe or lifecycle host (container "a" uses probe or lifecycle hosts "g", "h")"#,
        ),
        (
            json!({"containers": [container("a", json!({"procMount": "Unmasked"})), container("b", json!({"procMount": "Default"}))]}),
            r#"procMount (container "a" must not set securityContext.procMount to "Unmasked")"#,
        ),
        (
            json!({"securityContext": {"seLinuxOptions": {"type": "foo", "user": "u", "role": "r"}},
                   "containers": [container("a", json!({"seLinuxOptions": {"type": "bar"}})), container("b", json!({"seLinuxOptions": {"type": "container_engine_t"}}))]}),
            r#"seLinuxOptions (pod and container "a" set forbidden securityContext.seLinuxOptions: types "bar", "foo"; user may not be set; role may not be set)"#,
        ),
        (
            json!({"securityContext": {"seLinuxOptions": {"role": "r"}}}),
            "seLinuxOptions (pod set forbidden securityContext.seLinuxOptions: role may not be set)",
        ),
        (
            json!({"securityContext": {"seccompProfile": {"type": "Unconfined"}},
                   "containers": [container("a", json!({"seccompProfile": {"type": "Odd"}}))]}),
            r#"seccompProfile (pod and container "a" must not set securityContext.seccompProfile.type to "Odd", "Unconfined")"#,
        ),
        (
            json!({"securityContext": {"sysctls": [{"name": "b"}, {"name": "net.ipv4.tcp_rmem"}, {"name": "a"}]}}),
            "forbidden sysctls (b, a)",
        ),
        (
            json!({"securityContext": {"windowsOptions": {"hostProcess": true}},
                   "containers": [container("a", json!({"windowsOptions": {"hostProcess": true}})), container("b", json!({"windowsOptions": {"hostProcess": false}}))]}),
            r#"hostProcess (pod and container "a" must not set securityContext.windowsOptions.hostProcess=true)"#,
        ),
        (
            json!({"securityContext": {"appArmorProfile": {"type": "Unconfined"}},
                   "containers": [container("a", json!({"appArmorProfile": {"type": "Localhost"}}))]}),
            r#"forbidden AppArmor profile (pod must not set AppArmor profile type to "Unconfined")"#,
        ),
        // Several: in the order of the ids.
        (
            json!({"hostNetwork": true, "containers": [container("a", json!({"privileged": true}))]}),
            r#"host namespaces (hostNetwork=true), privileged (container "a" must not set securityContext.privileged=true)"#,
        ),
        // Allowed.
        (json!({}), ""),
        (json!({"containers": [{"name": "a"}], "hostNetwork": false}), ""),
        (json!({"containers": [container("a", json!({"privileged": false, "capabilities": {"add": ["KILL"]}}))]}), ""),
        (json!({"containers": [{"name": "a", "ports": [{"containerPort": 80, "hostPort": 0}]}]}), ""),
        (json!({"securityContext": {"seLinuxOptions": {"level": "s0"}, "seccompProfile": {"type": "Localhost"}}}), ""),
        (json!({"volumes": [{"name": "n", "nfs": {"server": "s"}}]}), ""),
        (json!({"hostUsers": false, "containers": [container("a", json!({"procMount": "Unmasked"}))]}), ""),
        (json!({"containers": [{"name": "a", "readinessProbe": {"httpGet": {"port": 80, "host": ""}}}]}), ""),
    ];
    for (spec, expected) in rows {
        assert_eq!(details("baseline:latest", &spec), expected, "{spec}");
        assert_eq!(details("privileged:latest", &spec), "", "{spec}");
    }
}

#[test]
fn restricted_refuses_more() {
    let all = r#"allowPrivilegeEscalation != false (container "a" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container "a" must set securityContext.capabilities.drop=["ALL"]), runAsNonRoot != true (pod or container "a" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container "a" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")"#;
    assert_eq!(details("restricted:latest", &json!({"containers": [{"name": "a"}]})), all);
    let rows: [(Value, &str); 15] = [
        (json!({"containers": [{"name": "a"}]}), ""),
        (
            json!({"containers": [container("a", json!({"allowPrivilegeEscalation": true})), {"name": "b"}]}),
            r#"allowPrivilegeEscalation != false (container "a" must set securityContext.allowPrivilegeEscalation=false)"#,
        ),
        (
            json!({"containers": [container("a", json!({"capabilities": {"drop": ["all"], "add": ["NET_BIND_SERVICE", "KILL"]}}))]}),
            r#"unrestricted capabilities (container "a" must set securityContext.capabilities.drop=["ALL"]; container "a" must not include "KILL" in securityContext.capabilities.add)"#,
        ),
        (
            json!({"containers": [container("a", json!({"capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}}))]}),
            "",
        ),
        (
            json!({"volumes": [{"name": "a", "hostPath": {}}, {"name": "b", "nfs": {}}, {"name": "c", "secret": {}}, {"name": "d", "image": {}}]}),
            r#"restricted volume types (volumes "a", "b", "d" use restricted volume types "hostPath", "nfs", "unknown")"#,
        ),
        (
            json!({"volumes": [{"name": "a", "nfs": {}}]}),
            r#"restricted volume types (volume "a" uses restricted volume type "nfs")"#,
        ),
        (
            json!({"securityContext": {"runAsNonRoot": false}, "containers": [container("a", json!({"runAsNonRoot": false})), container("b", json!({"runAsNonRoot": true}))]}),
            r#"runAsNonRoot != true (pod and container "a" must not set securityContext.runAsNonRoot=false)"#,
        ),
        (
            json!({"securityContext": {"runAsNonRoot": null}, "containers": [container("a", json!({"runAsNonRoot": true})), container("b", json!({}))]}),
            r#"runAsNonRoot != true (pod or container "b" must set securityContext.runAsNonRoot=true)"#,
        ),
        (
            json!({"securityContext": {"runAsUser": 0}, "containers": [container("a", json!({"runAsUser": 0})), container("b", json!({"runAsUser": 1}))]}),
            r#"runAsUser=0 (pod and container "a" must not set runAsUser=0)"#,
        ),
        (
            json!({"securityContext": {"seccompProfile": null}, "containers": [container("a", json!({"seccompProfile": {"type": "Localhost"}})), container("b", json!({}))]}),
            r#"seccompProfile (pod or container "b" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")"#,
        ),
        (
            json!({"containers": [container("a", json!({"seccompProfile": {"type": "Unconfined"}}))]}),
            r#"seccompProfile (container "a" must not set securityContext.seccompProfile.type to "Unconfined")"#,
        ),
        // Baseline checks that a restricted one replaces complain once, others first.
        (
            json!({"hostPID": true, "hostUsers": false, "containers": [container("a", json!({"procMount": "Unmasked"}))]}),
            r#"host namespaces (hostPID=true), procMount (container "a" must not set securityContext.procMount to "Unmasked")"#,
        ),
        // In a user namespace root may be.
        (json!({"hostUsers": false, "securityContext": {"runAsNonRoot": false, "runAsUser": 0}}), ""),
        // Another system.
        (
            json!({"os": {"name": "windows"}, "securityContext": {"seccompProfile": null}, "containers": [container("a", json!({"allowPrivilegeEscalation": null, "capabilities": null}))]}),
            "",
        ),
        (
            json!({"ephemeralContainers": [container("e", json!({"allowPrivilegeEscalation": true}))]}),
            r#"allowPrivilegeEscalation != false (container "e" must set securityContext.allowPrivilegeEscalation=false)"#,
        ),
    ];
    for (spec, expected) in rows {
        assert_eq!(details("restricted:latest", &hardened(spec.clone())), expected, "{spec}");
    }
}

#[test]
fn a_version_keeps_its_checks() {
    let probe = json!({"containers": [{"name": "a", "livenessProbe": {"httpGet": {"host": "h"}}}]});
    let unmasked = json!({"hostUsers": false, "containers": [container("a", json!({"procMount": "Unmasked"}))]});
    let engine = json!({"securityContext": {"seLinuxOptions": {"type": "container_engine_t"}}});
    let sysctl = |name: &str| json!({"securityContext": {"sysctls": [{"name": name}]}});
    let bare = json!({"containers": [{"name": "a"}]});
    let root = json!({"securityContext": {"runAsUser": 0, "runAsNonRoot": true}});
    let windows =
        json!({"os": {"name": "windows"}, "containers": [{"name": "a"}], "securityContext": {"runAsNonRoot": true}});
    let rows: [(&str, &Value, &str); 26] = [
        ("baseline:v1.33", &probe, ""),
        ("baseline:v1.34", &probe, "probe or lifecycle host"),
        ("baseline:v1.34", &unmasked, "procMount"),
        ("baseline:v1.35", &unmasked, ""),
        (
            "restricted:v1.34",
            &unmasked,
            "procMount, allowPrivilegeEscalation != false, unrestricted capabilities, runAsNonRoot != true, seccompProfile",
        ),
        (
            "restricted:v1.36",
            &unmasked,
            "allowPrivilegeEscalation != false, unrestricted capabilities, procMount, seccompProfile",
        ),
        ("baseline:v1.30", &engine, "seLinuxOptions"),
        ("baseline:v1.31", &engine, ""),
        ("baseline:v1.26", &sysctl("net.ipv4.ip_local_reserved_ports"), "forbidden sysctls"),
        ("baseline:v1.27", &sysctl("net.ipv4.ip_local_reserved_ports"), ""),
        ("baseline:v1.28", &sysctl("net.ipv4.tcp_fin_timeout"), "forbidden sysctls"),
        ("baseline:v1.29", &sysctl("net.ipv4.tcp_fin_timeout"), ""),
        ("baseline:v1.31", &sysctl("net.ipv4.tcp_wmem"), "forbidden sysctls"),
        ("baseline:v1.32", &sysctl("net.ipv4.tcp_wmem"), ""),
        ("restricted:v1.0", &bare, "runAsNonRoot != true"),
        ("restricted:v1.7", &bare, "runAsNonRoot != true"),
        ("restricted:v1.8", &bare, "allowPrivilegeEscalation != false, runAsNonRoot != true"),
        ("restricted:v1.19", &bare, "allowPrivilegeEscalation != false, runAsNonRoot != true, seccompProfile"),
        (
            "restricted:v1.22",
            &bare,
            "allowPrivilegeEscalation != false, unrestricted capabilities, runAsNonRoot != true, seccompProfile",
        ),
        ("restricted:v1.18", &root, ""),
        ("restricted:v1.22", &root, ""),
        ("restricted:v1.23", &root, "runAsUser=0"),
        ("restricted:v1.24", &windows, "allowPrivilegeEscalation != false, unrestricted capabilities, seccompProfile"),
        ("restricted:v1.25", &windows, ""),
        // A version that is not there yet is the newest.
        (
            "restricted:v1.99",
            &unmasked,
            "allowPrivilegeEscalation != false, unrestricted capabilities, procMount, seccompProfile",
        ),
        (
            "restricted:latest",
            &unmasked,
            "allowPrivilegeEscalation != false, unrestricted capabilities, procMount, seccompProfile",
        ),
    ];
    for (policy, spec, expected) in rows {
        assert_eq!(verdict(policy, &json!({}), spec).reasons(), expected, "{policy} {spec}");
    }
}

#[test]
fn annotations_count_as_they_did() {
    let app_armor = json!({"annotations": {
        "container.apparmor.security.beta.kubernetes.io/a": "unconfined",
        "container.apparmor.security.beta.kubernetes.io/b": "localhost/x",
        "container.apparmor.security.beta.kubernetes.io/c": "",
    }});
    let spec = json!({"containers": [{"name": "a"}]});
    assert_eq!(
        verdict("baseline:latest", &app_armor, &spec).details(),
        r#"forbidden AppArmor profile (annotation must not set AppArmor profile type to "container.apparmor.security.beta.kubernetes.io/a="unconfined"")"#
    );
    let seccomp = json!({"annotations": {
        "seccomp.security.alpha.kubernetes.io/pod": "unconfined",
        "container.seccomp.security.alpha.kubernetes.io/a": "odd",
        "container.seccomp.security.alpha.kubernetes.io/gone": "odd",
    }});
    assert_eq!(
        verdict("baseline:v1.18", &seccomp, &spec).details(),
        r#"seccompProfile (forbidden annotations container.seccomp.security.alpha.kubernetes.io/a="odd", seccomp.security.alpha.kubernetes.io/pod="unconfined")"#
    );
    assert_eq!(verdict("baseline:v1.19", &seccomp, &spec).details(), "");
}

#[test]
fn versions_are_latest_or_a_minor() {
    let rows = [
        ("latest", Some("latest")),
        ("v1.0", Some("v1.0")),
        ("v1.36", Some("v1.36")),
        ("v1.999", Some("v1.999")),
        ("v1.01", None),
        ("v1.", None),
        ("v1.999x", None),
        ("v2.0", None),
        ("1.2", None),
        ("", None),
        ("v1.4294967295", None),
        ("v1.99999999999", None),
    ];
    for (text, expected) in rows {
        assert_eq!(Version::parse(text).map(|v| v.to_string()).as_deref(), expected, "{text}");
    }
}

#[test]
fn labels_override_defaults_and_bad_ones_are_told() {
    let policy = |labels: Value| {
        Policy::PRIVILEGED.with_labels(|label| {
            labels.get(label).and_then(Value::as_str).map(|s| Box::leak(s.to_owned().into_boxed_str()) as &str)
        })
    };
    let (good, errors) = policy(json!({
        "pod-security.kubernetes.io/enforce": "baseline", "pod-security.kubernetes.io/enforce-version": "v1.20",
        "pod-security.kubernetes.io/warn": "restricted",
    }));
    assert_eq!(
        (good.enforce.to_string(), good.audit.to_string(), good.warn.to_string()),
        ("baseline:v1.20".into(), "privileged:latest".into(), "restricted:latest".into())
    );
    assert!(errors.is_empty() && !good.is_privileged() && !good.is_silent());
    let (bad, errors) = policy(json!({
        "pod-security.kubernetes.io/enforce": "Baseline", "pod-security.kubernetes.io/warn": "oops",
        "pod-security.kubernetes.io/audit-version": "x",
    }));
    // What cannot be read is enforced strictly and warned about not at all.
    assert_eq!((bad.enforce.level, bad.warn.level), (Level::Restricted, Level::Privileged));
    let told: Vec<&str> = errors.iter().map(|e| e.label.as_str()).collect();
    assert_eq!(
        told,
        [
            "pod-security.kubernetes.io/enforce",
            "pod-security.kubernetes.io/audit-version",
            "pod-security.kubernetes.io/warn",
        ]
    );
}

#[test]
fn pods_are_looked_at_when_more_is_enforced() {
    let policy = |enforce: &str| {
        let (level, version) = enforce.split_once(':').unwrap();
        let enforce = LevelVersion { level: Level::parse(level).unwrap(), version: Version::parse(version).unwrap() };
        Policy { enforce, ..Policy::PRIVILEGED }
    };
    let rows = [
        ("privileged:latest", "baseline:latest", EnforceChange::Stricter),
        ("baseline:latest", "restricted:latest", EnforceChange::Stricter),
        ("restricted:latest", "restricted:v1.20", EnforceChange::Stricter),
        ("restricted:v1.20", "baseline:v1.21", EnforceChange::Stricter),
        ("restricted:latest", "baseline:latest", EnforceChange::None),
        ("restricted:latest", "restricted:latest", EnforceChange::None),
        ("restricted:latest", "privileged:v1.0", EnforceChange::None),
    ];
    for (old, new, expected) in rows {
        assert_eq!(policy(new).change_from(&policy(old)), expected, "{old} -> {new}");
    }
}
