//! The catalog: every built-in type, parsed from packed facts, each type on its first use.
//!
//! `catalog/types.tsv` is written by `generate/catalog.py`, which documents its notation.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, OnceLock};

use crate::model::{
    AnyKind, Field, GroupVersionKind, List, ListType, Map, MapType, Node, Object, Omit, PatchStrategy, ProtoPath,
    ScalarKind, Schema, Text, TypeRef, Union,
};

/// The packed facts. A test parses every line, so what is in here is known to be well-formed.
const TYPES: &str = include_str!("../catalog/types.tsv");

/// Every built-in type of the Kubernetes version that kuorum serves.
pub struct Catalog {
    /// Each type's lines, by number.
    sources: Vec<&'static str>,
    /// The types built so far, by number.
    built: Vec<OnceLock<Arc<Schema>>>,
    definitions: HashMap<&'static str, u16>,
    /// By `group/version/kind`.
    kinds: HashMap<&'static str, u16>,
}

/// The catalog. Reading its index takes well under a millisecond, once.
pub fn catalog() -> &'static Catalog {
    static CATALOG: LazyLock<Catalog> = LazyLock::new(|| Catalog::index(TYPES));
    &CATALOG
}

impl Catalog {
    /// The type of a kind: `kind("apps", "v1", "Deployment")`; the core group is `""`.
    ///
    /// Also finds list kinds, review and options kinds (`Scale`, `Eviction`, `DeleteOptions`, `Status`…).
    pub fn kind(&self, group: &str, version: &str, kind: &str) -> Option<Arc<Schema>> {
        let number = self.kinds.get(format!("{group}/{version}/{kind}").as_str())?;
        Some(self.by_number(*number).clone())
    }

    /// The type of an OpenAPI definition: `io.k8s.api.core.v1.PodSpec`.
    pub fn definition(&self, name: &str) -> Option<Arc<Schema>> {
        self.definitions.get(name).map(|&number| self.by_number(number).clone())
    }

    /// The names of all definitions of structs, in no particular order.
    pub fn definition_names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.definitions.keys().copied()
    }

    /// Every `group/version/kind`, in no particular order.
    pub fn kind_names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.kinds.keys().copied()
    }

    pub(crate) fn by_number(&self, number: u16) -> &Arc<Schema> {
        let number = usize::from(number);
        self.built[number].get_or_init(|| Arc::new(parse_type(self, self.sources[number])))
    }

    /// Finds where each type starts; parses no type.
    fn index(text: &'static str) -> Catalog {
        let mut starts = Vec::new();
        let mut at = 0;
        for line in text.split_inclusive('\n') {
            if !line.starts_with('F') {
                starts.push(at);
            }
            at += line.len();
        }
        starts.push(text.len());
        let sources: Vec<&'static str> = starts.windows(2).map(|span| &text[span[0]..span[1]]).collect();
        let mut catalog = Catalog {
            built: sources.iter().map(|_| OnceLock::new()).collect(),
            sources,
            definitions: HashMap::new(),
            kinds: HashMap::new(),
        };
        for (number, source) in catalog.sources.iter().enumerate() {
            let mut head = source.lines().next().unwrap_or_default().split('\t');
            if head.next() != Some("T") {
                continue;
            }
            let number = number as u16;
            catalog.definitions.insert(head.next().unwrap_or_default(), number);
            for kind in head.nth(2).unwrap_or_default().split(';').filter(|kind| !kind.is_empty()) {
                catalog.kinds.insert(kind, number);
            }
        }
        catalog
    }

    /// The name of a type in Go's messages, without building the type.
    fn go_type(&self, number: u16) -> &'static str {
        self.sources[usize::from(number)].lines().next().and_then(|head| head.split('\t').nth(2)).unwrap_or_default()
    }
}

fn parse_type(catalog: &Catalog, source: &'static str) -> Schema {
    let mut lines = source.lines();
    let head: Vec<&'static str> = lines.next().unwrap_or_default().split('\t').collect();
    let cell = |at: usize| head.get(at).copied().unwrap_or_default();
    if cell(0) == "N" {
        let (node, _) = parse_node(catalog, cell(3), &Extras::default());
        let enum_values = cell(4).split('|').filter(|value| !value.is_empty()).map(Text::Borrowed).collect();
        return Schema { node, go_type: Text::Borrowed(cell(2)), enum_values };
    }
    let fields: Box<[Field]> = lines.map(|line| parse_field(catalog, line)).collect();
    let mut object = Object::new(Text::Borrowed(cell(1)), fields);
    if cell(3).contains('a') {
        object.map_type = MapType::Atomic;
    }
    object.kinds = cell(4).split(';').filter_map(parse_kind).collect();
    Schema { node: Node::Object(object), go_type: Text::Borrowed(cell(2)), enum_values: Box::default() }
}

fn parse_kind(text: &'static str) -> Option<GroupVersionKind> {
    let mut parts = text.split('/').map(Text::Borrowed);
    Some(GroupVersionKind { group: parts.next()?, version: parts.next()?, kind: parts.next()? })
}

/// The `key=value` cells at the end of a field's line.
#[derive(Default)]
struct Extras {
    list_type: Option<ListType>,
    map_keys: Box<[Text]>,
    patch_strategy: PatchStrategy,
    patch_merge_key: Option<Text>,
    default: Option<serde_json::Value>,
}

impl Extras {
    fn parse(cells: &[&'static str]) -> Extras {
        let mut extras = Extras::default();
        for (key, value) in cells.iter().filter_map(|cell| cell.split_once('=')) {
            match key {
                "ls" => extras.list_type = ListType::from_name(value),
                "lk" => extras.map_keys = value.split(',').map(Text::Borrowed).collect(),
                "ps" => extras.patch_strategy = PatchStrategy::from_words(value),
                "pk" => extras.patch_merge_key = Some(Text::Borrowed(value)),
                "df" => extras.default = serde_json::from_str(value).ok(),
                _ => {}
            }
        }
        extras
    }
}

fn parse_field(catalog: &Catalog, line: &'static str) -> Field {
    let cells: Vec<&'static str> = line.split('\t').collect();
    let cell = |at: usize| cells.get(at).copied().unwrap_or_default();
    let extras = Extras::parse(cells.get(5..).unwrap_or_default());
    let flags = cell(3);
    Field {
        name: Text::Borrowed(cell(1)),
        schema: parse_ref(catalog, cell(2), &extras),
        omit: match (flags.contains('z'), flags.contains('e')) {
            (true, _) => Omit::Zero,
            (_, true) => Omit::Empty,
            _ => Omit::Never,
        },
        pointer: flags.contains('p'),
        keeps_null: false,
        required: flags.contains('r'),
        map_type: match (flags.contains('A'), flags.contains('G')) {
            (true, _) => Some(MapType::Atomic),
            (_, true) => Some(MapType::Granular),
            _ => None,
        },
        patch_strategy: extras.patch_strategy,
        patch_merge_key: extras.patch_merge_key,
        default: extras.default,
        proto_path: ProtoPath::parse(cell(4)),
    }
}

fn parse_ref(catalog: &Catalog, token: &'static str, extras: &Extras) -> TypeRef {
    if let Some(number) = token.strip_prefix('#') {
        return TypeRef::Catalog(number.parse().unwrap_or_default());
    }
    if let Some(shared) = shared_scalar(token) {
        return TypeRef::Inline(shared);
    }
    let (node, go_type) = parse_node(catalog, token, extras);
    TypeRef::Inline(Arc::new(Schema { node, go_type, enum_values: Box::default() }))
}

/// The node that a type token stands for, and its name in Go.
fn parse_node(catalog: &Catalog, token: &'static str, extras: &Extras) -> (Node, Text) {
    let (first, rest) = token.split_at(1);
    match first {
        "[" | "{" => {
            let (pointer, inner) = rest.strip_prefix('*').map_or((false, rest), |inner| (true, inner));
            let inner_ref = parse_ref(catalog, inner, &Extras::default());
            let inner_name = match &inner_ref {
                TypeRef::Catalog(number) => catalog.go_type(*number),
                TypeRef::Inline(schema) => &schema.go_type,
            };
            let star = if pointer { "*" } else { "" };
            let prefix = if first == "[" { "[]" } else { "map[string]" };
            let go_type = Text::Owned(format!("{prefix}{star}{inner_name}"));
            let node = if first == "[" {
                let map_keys = extras.map_keys.clone();
                Node::List(List { items: inner_ref, list_type: extras.list_type, map_keys, pointer_items: pointer })
            } else {
                Node::Map(Map { values: inner_ref, map_type: MapType::Granular, pointer_values: pointer })
            };
            (node, go_type)
        }
        "U" => {
            let (object, other) = rest.split_once(',').unwrap_or((rest, ""));
            let none = Extras::default();
            let list = other.starts_with('[').then(|| parse_ref(catalog, other, &none));
            let union = Union { object: parse_ref(catalog, object, &none), list, bool: other == "b" };
            (Node::Union(union), Text::Borrowed(""))
        }
        _ => scalar_node(token),
    }
}

fn scalar_node(token: &str) -> (Node, Text) {
    let (node, go_type) = match token {
        "b" => (Node::Scalar(ScalarKind::Bool), "bool"),
        "i" => (Node::Scalar(ScalarKind::Int32), "int32"),
        "l" => (Node::Scalar(ScalarKind::Int64), "int64"),
        "d" => (Node::Scalar(ScalarKind::Float64), "float64"),
        "y" => (Node::Scalar(ScalarKind::Bytes), "[]uint8"),
        "t" => (Node::Scalar(ScalarKind::Time), "v1.Time"),
        "T" => (Node::Scalar(ScalarKind::MicroTime), "v1.MicroTime"),
        "q" => (Node::Scalar(ScalarKind::Quantity), "resource.Quantity"),
        "o" => (Node::IntOrString, "intstr.IntOrString"),
        "J" => (Node::Any(AnyKind::Json), "v1.JSON"),
        "R" => (Node::Any(AnyKind::RawExtension), "runtime.RawExtension"),
        "F" => (Node::Any(AnyKind::FieldsV1), "v1.FieldsV1"),
        _ => (Node::Scalar(ScalarKind::String), "string"),
    };
    (node, Text::Borrowed(go_type))
}

/// One node for each scalar type serves all the fields that have it.
fn shared_scalar(token: &str) -> Option<Arc<Schema>> {
    const TOKENS: &str = "sbildytTqoJRF";
    static SHARED: LazyLock<Vec<Arc<Schema>>> = LazyLock::new(|| {
        let tokens = (0..TOKENS.len()).map(|at| &TOKENS[at..=at]);
        tokens
            .map(|token| {
                let (node, go_type) = scalar_node(token);
                Arc::new(Schema { node, go_type, enum_values: Box::default() })
            })
            .collect()
    });
    (token.len() == 1).then(|| TOKENS.find(token).map(|at| SHARED[at].clone()))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_data_parses() {
        let catalog = catalog();
        for number in 0..catalog.sources.len() {
            let schema = catalog.by_number(number as u16);
            if let Some(object) = schema.as_object() {
                for field in object.fields() {
                    assert!(!field.name().is_empty());
                    assert!(!field.schema().go_type().is_empty() || matches!(field.schema().node(), Node::Union(_)));
                    assert!(std::ptr::eq(object.field(field.name()).unwrap(), field), "{}", field.name());
                }
            }
        }
        let data_lines = TYPES.lines().filter(|line| !line.is_empty()).count();
        let known = TYPES.lines().filter(|line| matches!(line.as_bytes()[0], b'T' | b'F' | b'N')).count();
        assert_eq!(data_lines, known);
    }

    #[test]
    fn facts_of_a_field() {
        let pod = catalog().kind("", "v1", "Pod").unwrap();
        let spec = pod.field("spec").unwrap();
        assert_eq!(spec.schema().go_type(), "v1.PodSpec");
        let containers = spec.schema().field("containers").unwrap();
        assert!(containers.required() && containers.omit() == Omit::Never);
        assert_eq!(containers.patch_merge_key(), Some("name"));
        assert!(containers.patch_strategy().merge);
        assert_eq!(containers.proto_path(), [2]);
        assert_eq!(containers.schema().go_type(), "[]v1.Container");
        let ports = pod.at(&["spec", "containers", "*", "ports"]).unwrap();
        assert_eq!(ports.as_list().unwrap().list_type(), ListType::Map);
        assert_eq!(ports.as_list().unwrap().map_keys(), ["containerPort", "protocol"]);
        let selector = pod.at(&["spec"]).unwrap();
        assert_eq!(selector.field("nodeSelector").unwrap().map_type(), MapType::Atomic);
        let priority = spec.schema().field("priority").unwrap();
        assert!(priority.pointer() && priority.omit() == Omit::Empty);
    }

    #[test]
    fn bodies_of_actions_resolve() {
        for (group, version, kind) in [
            ("autoscaling", "v1", "Scale"),
            ("policy", "v1", "Eviction"),
            ("authentication.k8s.io", "v1", "TokenRequest"),
            ("authentication.k8s.io", "v1", "TokenReview"),
            ("authorization.k8s.io", "v1", "SelfSubjectAccessReview"),
            ("", "v1", "Binding"),
            ("", "v1", "Status"),
            ("", "v1", "DeleteOptions"),
            ("apps", "v1", "DeleteOptions"),
            ("", "v1", "PodExecOptions"),
            ("meta.k8s.io", "v1", "Table"),
            ("meta.k8s.io", "v1", "PartialObjectMetadata"),
            ("admission.k8s.io", "v1", "AdmissionReview"),
            ("apiregistration.k8s.io", "v1", "APIService"),
            ("apidiscovery.k8s.io", "v2", "APIGroupDiscoveryList"),
        ] {
            assert!(catalog().kind(group, version, kind).is_some(), "{group}/{version}/{kind}");
        }
    }

    #[test]
    fn every_served_kind_and_its_list_resolve() {
        #[rustfmt::skip]
        let served = [
            ("", "v1", "Binding ComponentStatus ConfigMap Endpoints Event LimitRange Namespace Node PersistentVolume PersistentVolumeClaim Pod PodTemplate ReplicationController ResourceQuota Secret Service ServiceAccount"),
            ("admissionregistration.k8s.io", "v1", "MutatingAdmissionPolicy MutatingAdmissionPolicyBinding MutatingWebhookConfiguration ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding ValidatingWebhookConfiguration"),
            ("apiextensions.k8s.io", "v1", "CustomResourceDefinition"),
            ("apiregistration.k8s.io", "v1", "APIService"),
            ("apps", "v1", "ControllerRevision DaemonSet Deployment ReplicaSet StatefulSet"),
            ("authentication.k8s.io", "v1", "SelfSubjectReview TokenReview"),
            ("authorization.k8s.io", "v1", "LocalSubjectAccessReview SelfSubjectAccessReview SelfSubjectRulesReview SubjectAccessReview"),
            ("autoscaling", "v1", "HorizontalPodAutoscaler"),
            ("autoscaling", "v2", "HorizontalPodAutoscaler"),
            ("batch", "v1", "CronJob Job"),
            ("certificates.k8s.io", "v1", "CertificateSigningRequest"),
            ("coordination.k8s.io", "v1", "Lease"),
            ("discovery.k8s.io", "v1", "EndpointSlice"),
            ("events.k8s.io", "v1", "Event"),
            ("flowcontrol.apiserver.k8s.io", "v1", "FlowSchema PriorityLevelConfiguration"),
            ("networking.k8s.io", "v1", "IPAddress Ingress IngressClass NetworkPolicy ServiceCIDR"),
            ("node.k8s.io", "v1", "RuntimeClass"),
            ("policy", "v1", "PodDisruptionBudget"),
            ("rbac.authorization.k8s.io", "v1", "ClusterRole ClusterRoleBinding Role RoleBinding"),
            ("resource.k8s.io", "v1", "DeviceClass ResourceClaim ResourceClaimTemplate ResourceSlice"),
            ("scheduling.k8s.io", "v1", "PriorityClass"),
            ("storage.k8s.io", "v1", "CSIDriver CSINode CSIStorageCapacity StorageClass VolumeAttachment VolumeAttributesClass"),
        ];
        for (group, version, kinds) in served {
            for kind in kinds.split(' ') {
                let schema = catalog().kind(group, version, kind).unwrap_or_else(|| panic!("{group}/{version}/{kind}"));
                for field in ["apiVersion", "kind"] {
                    assert!(schema.field(field).is_some(), "{kind}.{field}");
                }
                let object = schema.as_object().unwrap();
                assert!(object.kinds().iter().any(|own| own.kind == kind && own.group == group));
                if object.field("metadata").is_some_and(|field| field.schema().go_type() == "v1.ObjectMeta")
                    && !NEVER_LISTED.contains(&kind)
                {
                    assert!(catalog().kind(group, version, &format!("{kind}List")).is_some(), "{kind}List");
                }
            }
        }
    }

    /// Actions and questions have metadata but are not stored.
    const NEVER_LISTED: [&str; 7] = [
        "Binding",
        "LocalSubjectAccessReview",
        "SelfSubjectAccessReview",
        "SelfSubjectReview",
        "SelfSubjectRulesReview",
        "SubjectAccessReview",
        "TokenReview",
    ];
}
