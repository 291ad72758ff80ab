//! The type model: what a value of a Kubernetes type looks like, how Go decodes and prints it, how patches merge it.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value;

/// Text that is borrowed from the catalog for a built-in type and owned for a custom one.
pub type Text = Cow<'static, str>;

/// A type: a node of the graph that an object's fields, a list's items and a map's values lead through.
///
/// Always handled as `Arc<Schema>`; cloning the handle is one reference count.
#[derive(Debug)]
pub struct Schema {
    pub(crate) node: Node,
    /// The type as Go prints it in decoding errors: `v1.ObjectMeta`, `[]v1.Container`, `map[string]string`, `int32`.
    pub(crate) go_type: Text,
    /// The values allowed by the published schema; empty when any is.
    pub(crate) enum_values: Box<[Text]>,
}

/// What kind of value a [`Schema`] describes.
#[derive(Debug)]
pub enum Node {
    /// A struct: named fields, in the order in which Go declares (and prints) them.
    Object(Object),
    /// A list of items of one type.
    List(List),
    /// A map from strings to values of one type.
    Map(Map),
    /// A string, number, boolean or one of the types that travel as a string.
    Scalar(ScalarKind),
    /// `intstr.IntOrString`: an `int32` or a string.
    IntOrString,
    /// A value that is kept as it is.
    Any(AnyKind),
    /// A value of one of several shapes, told apart by its first character.
    Union(Union),
}

/// The scalar types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScalarKind {
    String,
    Bool,
    Int32,
    Int64,
    Float64,
    /// `[]byte`: base64 in JSON.
    Bytes,
    /// `metav1.Time`: RFC 3339, printed in UTC with whole seconds.
    Time,
    /// `metav1.MicroTime`: RFC 3339 with exactly six fraction digits.
    MicroTime,
    /// `resource.Quantity`, printed in canonical form.
    Quantity,
}

/// The kinds of value without a fixed shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AnyKind {
    /// Any JSON value (apiextensions `JSON`, or a custom resource's schemaless value).
    Json,
    /// `runtime.RawExtension`: usually an object.
    RawExtension,
    /// `metav1.FieldsV1`: an object in the field-set notation.
    FieldsV1,
}

/// A struct type.
#[derive(Debug)]
pub struct Object {
    /// The OpenAPI definition: `io.k8s.api.core.v1.Pod`; empty for an inline type of a custom resource.
    pub(crate) name: Text,
    /// Declaration order.
    pub(crate) fields: Box<[Field]>,
    /// Indices into `fields`, sorted by field name.
    pub(crate) by_name: Box<[u16]>,
    /// Indices of the fields that protobuf has, by their path of numbers.
    pub(crate) by_proto: Box<[u16]>,
    pub(crate) map_type: MapType,
    /// A custom resource's: values of a wrong type are kept for the validator.
    pub(crate) custom: bool,
    pub(crate) preserve_unknown_fields: bool,
    pub(crate) embedded_resource: bool,
    /// Empty for a part of other types.
    pub(crate) kinds: Box<[GroupVersionKind]>,
}

/// The name under which a type is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupVersionKind {
    /// `""` for the core group.
    pub group: Text,
    pub version: Text,
    pub kind: Text,
}

/// A list type.
#[derive(Debug)]
pub struct List {
    pub(crate) items: TypeRef,
    /// `None` when the type does not say; server-side apply then takes it as atomic.
    pub(crate) list_type: Option<ListType>,
    pub(crate) map_keys: Box<[Text]>,
    /// The items are pointers in Go: `null` items survive.
    pub(crate) pointer_items: bool,
}

/// A map type with string keys.
#[derive(Debug)]
pub struct Map {
    pub(crate) values: TypeRef,
    pub(crate) map_type: MapType,
    /// The values are pointers in Go: `null` values survive.
    pub(crate) pointer_values: bool,
}

/// What a [`Node::Union`] may hold (apiextensions' `JSONSchemaPropsOrBool` and its relatives).
#[derive(Debug)]
pub struct Union {
    pub(crate) object: TypeRef,
    /// The list type, if a list is allowed.
    pub(crate) list: Option<TypeRef>,
    /// `true` and `false` are allowed.
    pub(crate) bool: bool,
}

/// `x-kubernetes-list-type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ListType {
    #[default]
    Atomic,
    /// Unique scalars.
    Set,
    /// Objects keyed by [`List::map_keys`].
    Map,
}

/// `x-kubernetes-map-type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MapType {
    #[default]
    Granular,
    /// Replaced as a whole by server-side apply.
    Atomic,
}

/// How a strategic merge patch treats a field: the Go tag `patchStrategy`, a set of words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PatchStrategy {
    /// Lists merge by [`Field::patch_merge_key`] (scalars: as a set) instead of being replaced.
    pub merge: bool,
    /// The patch lists in `$retainKeys` all keys that stay.
    pub retain_keys: bool,
    /// A map or struct is replaced as a whole.
    pub replace: bool,
}

/// When Go leaves a field out of JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Omit {
    /// Never: an unset value is printed as `""`, `0`, `false`, `null` or `{…}`.
    Never,
    /// `omitempty`: `""`, `0`, `false`, `null`, `[]` and `{}` of maps are left out; a struct is not.
    Empty,
    /// `omitzero`: as [`Omit::Empty`], and a struct whose fields are all unset is left out too.
    Zero,
}

/// Field numbers from a message inward, padded with zeros. No Kubernetes type inlines more than twice, and none has a
/// number above 255.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ProtoPath([u8; PROTO_PATH_MAX]);

const PROTO_PATH_MAX: usize = 3;

/// A field of an [`Object`].
#[derive(Debug)]
pub struct Field {
    pub(crate) name: Text,
    pub(crate) schema: TypeRef,
    pub(crate) omit: Omit,
    pub(crate) pointer: bool,
    /// A custom resource's field: `null` is a value, not the absence of one.
    pub(crate) keeps_null: bool,
    pub(crate) required: bool,
    /// `None` where the type decides.
    pub(crate) map_type: Option<MapType>,
    pub(crate) patch_strategy: PatchStrategy,
    pub(crate) patch_merge_key: Option<Text>,
    pub(crate) default: Option<Value>,
    pub(crate) proto_path: ProtoPath,
}

/// A type by handle, or by its number in the catalog (which lets types be recursive and be built on first use).
#[derive(Debug, Clone)]
pub(crate) enum TypeRef {
    Inline(Arc<Schema>),
    Catalog(u16),
}

impl TypeRef {
    pub(crate) fn resolve(&self) -> &Arc<Schema> {
        match self {
            TypeRef::Inline(schema) => schema,
            TypeRef::Catalog(number) => crate::catalog::catalog().by_number(*number),
        }
    }
}

impl Schema {
    /// The kind of node.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// The type's name in Go's error messages.
    pub fn go_type(&self) -> &str {
        &self.go_type
    }

    /// The values that the published schema allows; empty when it does not limit them.
    pub fn enum_values(&self) -> &[Text] {
        &self.enum_values
    }

    /// The struct, if it is one.
    pub fn as_object(&self) -> Option<&Object> {
        match &self.node {
            Node::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The list, if it is one.
    pub fn as_list(&self) -> Option<&List> {
        match &self.node {
            Node::List(list) => Some(list),
            _ => None,
        }
    }

    /// The map, if it is one.
    pub fn as_map(&self) -> Option<&Map> {
        match &self.node {
            Node::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The field `name` of a struct.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.as_object()?.field(name)
    }

    /// The schema at a path of field names, through list items and map values where the path says `*`.
    pub fn at(self: &Arc<Self>, path: &[&str]) -> Option<Arc<Schema>> {
        let mut schema = self;
        for step in path {
            schema = match schema.node() {
                Node::Object(object) => object.field(step)?.schema(),
                Node::List(list) if *step == "*" => list.items(),
                Node::Map(map) => map.values(),
                _ => return None,
            };
        }
        Some(schema.clone())
    }
}

impl ListType {
    /// Parses `atomic`, `set` or `map`.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        match name {
            "atomic" => Some(ListType::Atomic),
            "set" => Some(ListType::Set),
            "map" => Some(ListType::Map),
            _ => None,
        }
    }

    /// The value of `x-kubernetes-list-type`.
    pub fn as_str(self) -> &'static str {
        match self {
            ListType::Atomic => "atomic",
            ListType::Set => "set",
            ListType::Map => "map",
        }
    }
}

impl MapType {
    /// The value of `x-kubernetes-map-type`.
    pub fn as_str(self) -> &'static str {
        match self {
            MapType::Granular => "granular",
            MapType::Atomic => "atomic",
        }
    }
}

impl PatchStrategy {
    /// Parses the words of the Go tag: `merge,retainKeys`.
    pub(crate) fn from_words(words: &str) -> Self {
        let has = |wanted| words.split(',').any(|word| word == wanted);
        PatchStrategy { merge: has("merge"), retain_keys: has("retainKeys"), replace: has("replace") }
    }

    /// The value of `x-kubernetes-patch-strategy`; empty when there is none.
    pub fn words(self) -> &'static str {
        match (self.merge, self.retain_keys, self.replace) {
            (true, true, _) => "merge,retainKeys",
            (true, false, _) => "merge",
            (false, true, _) => "retainKeys",
            (false, false, true) => "replace",
            _ => "",
        }
    }
}

impl Object {
    pub(crate) fn new(name: Text, fields: Box<[Field]>) -> Self {
        let mut by_name: Box<[u16]> = (0..fields.len() as u16).collect();
        by_name.sort_by(|&a, &b| fields[usize::from(a)].name.cmp(&fields[usize::from(b)].name));
        let mut by_proto: Vec<u16> = by_name.to_vec();
        by_proto.retain(|&at| !fields[usize::from(at)].proto_path().is_empty());
        by_proto.sort_by_key(|&at| fields[usize::from(at)].proto_path);
        Object {
            name,
            fields,
            by_name,
            by_proto: by_proto.into(),
            map_type: MapType::default(),
            custom: false,
            preserve_unknown_fields: false,
            embedded_resource: false,
            kinds: Box::default(),
        }
    }

    /// The name of the OpenAPI definition; empty for an inline type.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The fields in the order of the Go type.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Indices into [`Object::fields`] of those that protobuf has, ascending by [`Field::proto_path`].
    pub fn by_proto(&self) -> &[u16] {
        &self.by_proto
    }

    /// The field `name`.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.position(name).map(|at| &self.fields[at])
    }

    /// Where the field `name` is in [`Object::fields`].
    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        let found = self.by_name.binary_search_by(|&at| (*self.fields[at as usize].name).cmp(name));
        found.ok().map(|at| self.by_name[at] as usize)
    }

    /// Whether server-side apply merges the struct field by field.
    pub fn map_type(&self) -> MapType {
        self.map_type
    }

    /// A custom resource's `x-kubernetes-preserve-unknown-fields`: unknown fields are kept, not pruned.
    pub fn preserve_unknown_fields(&self) -> bool {
        self.preserve_unknown_fields
    }

    /// A custom resource's `x-kubernetes-embedded-resource`: has `apiVersion`, `kind` and `metadata`.
    pub fn embedded_resource(&self) -> bool {
        self.embedded_resource
    }

    /// Under which group, version and kind the type is served (several for `DeleteOptions` and the like).
    pub fn kinds(&self) -> &[GroupVersionKind] {
        &self.kinds
    }
}

impl List {
    /// The type of the items.
    pub fn items(&self) -> &Arc<Schema> {
        self.items.resolve()
    }

    /// How server-side apply merges the list; atomic when the type does not say.
    pub fn list_type(&self) -> ListType {
        self.list_type.unwrap_or_default()
    }

    /// The fields that identify an item of a [`ListType::Map`] list.
    pub fn map_keys(&self) -> &[Text] {
        &self.map_keys
    }
}

impl Union {
    /// The type that an object has.
    pub fn object(&self) -> &Arc<Schema> {
        self.object.resolve()
    }

    /// The type that a list has.
    pub fn list(&self) -> Option<&Arc<Schema>> {
        self.list.as_ref().map(TypeRef::resolve)
    }

    /// Whether a boolean is allowed.
    pub fn allows_bool(&self) -> bool {
        self.bool
    }
}

impl Map {
    /// The type of the values.
    pub fn values(&self) -> &Arc<Schema> {
        self.values.resolve()
    }

    /// Whether server-side apply merges the map key by key.
    pub fn map_type(&self) -> MapType {
        self.map_type
    }
}

impl Field {
    /// The name in JSON.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The type of the field.
    pub fn schema(&self) -> &Arc<Schema> {
        self.schema.resolve()
    }

    /// When Go leaves the field out.
    pub fn omit(&self) -> Omit {
        self.omit
    }

    /// A pointer in Go: an explicit `""`, `0`, `false` or `{}` is kept apart from unset.
    pub fn pointer(&self) -> bool {
        self.pointer
    }

    /// Listed as required in the published schema.
    pub fn required(&self) -> bool {
        self.required
    }

    /// `x-kubernetes-map-type` of the field, or of its type.
    pub fn map_type(&self) -> MapType {
        match (self.map_type, self.schema().node()) {
            (Some(of_field), _) => of_field,
            (_, Node::Object(object)) => object.map_type,
            (_, Node::Map(map)) => map.map_type,
            _ => MapType::Granular,
        }
    }

    /// The Go tag `patchStrategy`.
    pub fn patch_strategy(&self) -> PatchStrategy {
        self.patch_strategy
    }

    /// The Go tag `patchMergeKey`.
    pub fn patch_merge_key(&self) -> Option<&str> {
        self.patch_merge_key.as_deref()
    }

    /// The default in the published schema.
    pub fn default(&self) -> Option<&Value> {
        self.default.as_ref()
    }

    /// The field's numbers in protobuf, from the message inward: more than one where JSON inlines a struct that
    /// protobuf nests; empty when the message does not hold the field (TypeMeta).
    pub fn proto_path(&self) -> &[u8] {
        self.proto_path.as_slice()
    }
}

impl ProtoPath {
    /// Parses `2.1`; what is not a path is the empty one.
    pub(crate) fn parse(text: &str) -> Self {
        let mut path = [0; PROTO_PATH_MAX];
        for (at, number) in text.split('.').enumerate() {
            match (path.get_mut(at), number.parse()) {
                (Some(slot), Ok(number)) => *slot = number,
                _ => return ProtoPath::default(),
            }
        }
        ProtoPath(path)
    }

    fn as_slice(&self) -> &[u8] {
        let len = self.0.iter().position(|number| *number == 0).unwrap_or(PROTO_PATH_MAX);
        &self.0[..len]
    }
}
