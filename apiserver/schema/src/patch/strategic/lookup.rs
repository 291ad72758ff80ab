//! What a type says about merging one of its fields: the Go tags `patchStrategy` and `patchMergeKey`.

use super::super::PatchError;
use super::super::gofmt;
use crate::model::{AnyKind, Field, Node, ScalarKind, Schema};

/// A field that is a list.
#[derive(Clone, Copy)]
pub(super) struct ListField<'s> {
    /// The type of the items.
    pub items: &'s Schema,
    /// Whether the list is merged; otherwise it is replaced.
    pub merge: bool,
    /// The field by which items that are objects are told apart; empty for lists of scalars.
    pub merge_key: &'s str,
}

/// The field `name` of a struct. The errors are those of Go's reflection on the type.
pub(super) fn field<'s>(schema: &'s Schema, name: &str) -> Result<&'s Field, PatchError> {
    let Node::Object(object) = schema.node() else {
        return Err(PatchError::Internal(match go_struct(schema) {
            Some(struct_name) => no_field(struct_name, name),
            None => format!("merging an object in json but data type is not struct, instead is: {}", go_kind(schema)),
        }));
    };
    object.field(name).ok_or_else(|| PatchError::Internal(no_field(short_name(schema), name)))
}

/// The field `name` of a struct, which is a list of anything but lists.
pub(super) fn list_field<'s>(schema: &'s Schema, name: &str) -> Result<ListField<'s>, PatchError> {
    let field = field(schema, name)?;
    let Some(list) = field.schema().as_list() else {
        return Err(PatchError::Internal("expected slice or array type, but got: struct".to_owned()));
    };
    if list.items().as_list().is_some() {
        return Err(PatchError::Internal("unexpected slice of slice".to_owned()));
    }
    let strategy = field.patch_strategy();
    Ok(ListField { items: list.items(), merge: strategy.merge, merge_key: field.patch_merge_key().unwrap_or_default() })
}

/// `PodSpec` of `v1.PodSpec`.
fn short_name(schema: &Schema) -> &str {
    schema.go_type().rsplit('.').next().unwrap_or_default()
}

fn no_field(struct_name: &str, name: &str) -> String {
    format!("unable to find api field in struct {struct_name} for the json field {}", gofmt::quote(name))
}

/// The name of a type that is a struct in Go and has no fields in JSON.
fn go_struct(schema: &Schema) -> Option<&str> {
    Some(match schema.node() {
        Node::Union(_) => short_name(schema),
        Node::IntOrString => "IntOrString",
        Node::Any(AnyKind::Json) => "JSON",
        Node::Any(AnyKind::RawExtension) => "RawExtension",
        Node::Any(AnyKind::FieldsV1) => "FieldsV1",
        Node::Scalar(ScalarKind::Time) => "Time",
        Node::Scalar(ScalarKind::MicroTime) => "MicroTime",
        Node::Scalar(ScalarKind::Quantity) => "Quantity",
        _ => return None,
    })
}

/// The `reflect.Kind` of a type.
pub(super) fn go_kind(schema: &Schema) -> &'static str {
    match schema.node() {
        Node::List(_) | Node::Scalar(ScalarKind::Bytes) => "slice",
        Node::Map(_) => "map",
        Node::Scalar(ScalarKind::String) => "string",
        Node::Scalar(ScalarKind::Bool) => "bool",
        Node::Scalar(ScalarKind::Int32) => "int32",
        Node::Scalar(ScalarKind::Int64) => "int64",
        Node::Scalar(ScalarKind::Float64) => "float64",
        Node::Object(_) | Node::Union(_) | Node::IntOrString | Node::Any(_) | Node::Scalar(_) => "struct",
    }
}
