use super::*;

fn parse(text: &str) -> Result<Policy, PolicyError> {
    Policy::parse(format!("apiVersion: audit.k8s.io/v1\nkind: Policy\n{text}").as_bytes())
}

/// A request in one line: `user[group,…] verb path-or-resource`, resources as `group/resource/sub:namespace/name`.
struct Asked {
    user: &'static str,
    groups: Vec<String>,
    verb: &'static str,
    /// group, resource, subresource, namespace, name
    resource: Option<[&'static str; 5]>,
    path: &'static str,
}

fn level(policy: &Policy, asked: &Asked) -> Level {
    let [group, resource, subresource, namespace, name] = asked.resource.unwrap_or_default();
    let attributes = Attributes {
        user: (!asked.user.is_empty()).then_some(asked.user),
        groups: &asked.groups,
        verb: asked.verb,
        is_resource: asked.resource.is_some(),
        path: asked.path,
        namespace,
        group,
        resource,
        subresource,
        name,
    };
    policy.decide(&attributes).level
}

fn get(resource: [&'static str; 5]) -> Asked {
    Asked { user: "alice", groups: vec!["dev".to_owned()], verb: "get", resource: Some(resource), path: "" }
}

fn path(path: &'static str) -> Asked {
    Asked { user: "alice", groups: vec!["dev".to_owned()], verb: "get", resource: None, path }
}

#[test]
fn rules_match_by_each_of_their_fields() {
    let pods = || get(["", "pods", "", "default", "web"]);
    let log = || get(["", "pods", "log", "default", "web"]);
    let node = || get(["", "nodes", "", "", "n1"]);
    let scale = || get(["apps", "deployments", "scale", "default", "web"]);
    let nobody = || Asked { user: "", groups: Vec::new(), ..pods() };
    // rule without its level, request, whether it matches
    let table = [
        ("", pods(), true),
        ("", path("/healthz"), true),
        ("users: [alice]", pods(), true),
        ("users: [bob]", pods(), false),
        ("users: [alice]", nobody(), false),
        ("userGroups: [ops, dev]", pods(), true),
        ("userGroups: [ops]", pods(), false),
        ("userGroups: [dev]", nobody(), false),
        ("verbs: [get, list]", pods(), true),
        ("verbs: [list]", pods(), false),
        ("namespaces: [default]", pods(), true),
        ("namespaces: [kube-system]", pods(), false),
        // Cluster-scoped requests have the empty namespace.
        ("namespaces: ['']", node(), true),
        ("namespaces: ['']", pods(), false),
        ("namespaces: [default]", path("/healthz"), false),
        ("resources: [{group: ''}]", pods(), true),
        ("resources: [{group: ''}]", scale(), false),
        ("resources: [{group: '', resources: [pods]}]", pods(), true),
        // A resource without its subresources.
        ("resources: [{group: '', resources: [pods]}]", log(), false),
        ("resources: [{group: '', resources: [pods/log]}]", log(), true),
        ("resources: [{group: '', resources: ['pods/*']}]", log(), true),
        ("resources: [{group: '', resources: ['pods/*']}]", pods(), true),
        ("resources: [{group: '', resources: ['*/log']}]", log(), true),
        ("resources: [{group: '', resources: ['*/log']}]", pods(), false),
        ("resources: [{group: '', resources: ['*']}]", log(), true),
        ("resources: [{group: apps, resources: ['*/scale']}]", scale(), true),
        ("resources: [{group: '', resources: [pods], resourceNames: [web]}]", pods(), true),
        ("resources: [{group: '', resources: [pods], resourceNames: [db]}]", pods(), false),
        ("resources: [{group: '', resources: [pods]}]", path("/api/v1/pods"), false),
        ("nonResourceURLs: [/healthz]", path("/healthz"), true),
        ("nonResourceURLs: [/healthz]", path("/healthz/ping"), false),
        ("nonResourceURLs: ['/healthz*']", path("/healthz/ping"), true),
        ("nonResourceURLs: ['*']", path("/metrics"), true),
        ("nonResourceURLs: ['*']", pods(), false),
    ];
    for (rule, asked, want) in table {
        let fields = if rule.is_empty() { String::new() } else { format!(", {rule}") };
        let policy = parse(&format!("rules: [{{level: Metadata{fields}}}]")).unwrap();
        assert_eq!(level(&policy, &asked) == Level::Metadata, want, "{rule} on {:?}{}", asked.resource, asked.path);
    }
}

#[test]
fn the_first_match_counts_and_no_match_is_none() {
    let policy = parse(
        "rules:
- {level: None, users: [alice]}
- {level: RequestResponse, verbs: [get]}
- {level: Request, resources: [{group: apps}]}",
    )
    .unwrap();
    let bob = |asked: Asked| Asked { user: "bob", ..asked };
    assert_eq!(level(&policy, &get(["", "pods", "", "", ""])), Level::None);
    assert_eq!(level(&policy, &bob(get(["apps", "deployments", "", "", ""]))), Level::RequestResponse);
    let update = Asked { verb: "update", ..bob(get(["apps", "deployments", "", "", ""])) };
    assert_eq!(level(&policy, &update), Level::Request);
    let delete = Asked { verb: "delete", ..bob(get(["", "pods", "", "", ""])) };
    assert_eq!(level(&policy, &delete), Level::None);
}

#[test]
fn stages_and_managed_fields_are_inherited() {
    let policy = parse(
        "omitStages: [RequestReceived]
omitManagedFields: true
rules:
- {level: Metadata, users: [a], omitStages: [Panic], omitManagedFields: false}
- {level: Metadata}",
    )
    .unwrap();
    let decide = |user| policy.decide(&Attributes { user: Some(user), ..Attributes::default() });
    let own = decide("a");
    assert!(own.omit_stages.contains(Stage::RequestReceived) && own.omit_stages.contains(Stage::Panic));
    assert!(!own.omit_stages.contains(Stage::ResponseComplete) && !own.omit_managed_fields);
    let inherited = decide("b");
    assert!(inherited.omit_stages.contains(Stage::RequestReceived) && !inherited.omit_stages.contains(Stage::Panic));
    assert!(inherited.omit_managed_fields);
}

#[test]
fn what_is_wrong_is_said() {
    let table = [
        ("rules: []", "loaded illegal policy with 0 rules"),
        ("rules: [{users: [a]}]", "rules[0].level: Required value"),
        ("rules: [{level: Meta}]", "rules[0].level: Unsupported value: \"Meta\""),
        ("rules: [{level: None, omitStages: [Start]}]", "rules[0].omitStages[0]: Invalid value: \"Start\""),
        ("omitStages: [Start]\nrules: [{level: None}]", "omitStages[0]: Invalid value"),
        ("rules: [{level: None, nonResourceURLs: [healthz]}]", "must begin with a '/'"),
        ("rules: [{level: None, nonResourceURLs: ['/a*/b']}]", "must be the final character"),
        ("rules: [{level: None, nonResourceURLs: [/a], namespaces: [b]}]", "cannot apply to both"),
        ("rules: [{level: None, resources: [{group: apps/v1}]}]", "RFC 1123 subdomain"),
        ("rules: [{level: None, resources: [{resourceNames: [a]}]}]", "requires at least one resource"),
        ("rules: [{level: None, verb: [get]}]", "unknown field `verb`"),
        ("rules: {}", "failed decoding"),
    ];
    for (text, want) in table {
        let said = parse(text).unwrap_err().to_string();
        assert!(said.contains(want), "{text}: {said}");
    }
    assert!(Policy::parse(b"kind: Pod").unwrap_err().to_string().contains("no kind \"Pod\""));
}
