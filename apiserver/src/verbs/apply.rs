//! Server-side apply: the configuration of a request, read once and applied to any number of versions of an object.

use bytes::Bytes;
use kuorum_kinds::value as json;
use kuorum_schema::yaml;
use serde_json::{Map, Value};

use super::ownership::Owners;
use super::store::Current;
use crate::app::Call;
use crate::request::options::{FieldValidation, WriteOptions};
use crate::status::ApiError;

/// A configuration to be applied, as it was sent.
pub struct Configuration {
    pub object: Value,
    /// Keys that are there twice: `line 4: key "k" already set in map`.
    duplicates: Vec<String>,
    strict_error: Option<String>,
}

impl Configuration {
    /// Reads YAML, which JSON is, too. 400 where it is neither, or no object.
    pub fn decode(body: &Bytes) -> Result<Self, ApiError> {
        let refused = |why: String| ApiError::bad_request(format!("error decoding YAML: {why}"));
        let document = yaml::to_json(body).map_err(|why| refused(format!("error converting YAML to JSON: {why}")))?;
        let strict_error = document.strict_error();
        let object = match document.value {
            Value::Null => Value::Object(Map::new()),
            object @ Value::Object(_) => object,
            other => {
                let kind = match other {
                    Value::Bool(_) => "bool",
                    Value::Number(_) => "number",
                    Value::String(_) => "string",
                    _ => "array",
                };
                return Err(refused(format!(
                    "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"
                )));
            }
        };
        Ok(Configuration { object, duplicates: document.duplicates, strict_error })
    }

    /// What `fieldValidation` says to duplicate keys. Unknown fields are refused always, by the type.
    fn validate(&self, call: &Call<'_>, validation: FieldValidation) -> Result<(), ApiError> {
        match (validation, &self.strict_error) {
            (FieldValidation::Strict, Some(why)) => {
                Err(ApiError::bad_request(format!("error strict decoding YAML: error converting YAML to JSON: {why}")))
            }
            (FieldValidation::Warn, Some(_)) => {
                self.duplicates.iter().for_each(|duplicate| call.warnings.add(duplicate.clone()));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Merges the configuration into an object (`None`: there is none yet) by the rules of `owners`.
    pub fn apply(
        &self,
        call: &Call<'_>,
        owners: &Owners<'_>,
        live: Option<&Value>,
        options: &WriteOptions,
    ) -> Result<Value, ApiError> {
        let object = owners.apply(live, &self.object, &options.field_manager, options.force == Some(true))?;
        self.validate(call, options.field_validation)?;
        Ok(object)
    }

    /// As [`Configuration::apply`], to an object of the call's kind.
    pub fn produce(
        &self,
        call: &Call<'_>,
        subresource: &str,
        current: Option<&Current>,
        options: &WriteOptions,
    ) -> Result<Value, ApiError> {
        let owners = Owners::of(call, subresource);
        let object = self.apply(call, &owners, current.map(|current| &current.value), options)?;
        let uid = json::text(&object, "metadata.uid");
        if current.is_none() && !uid.is_empty() {
            let row = &call.kind.row;
            let why =
                format!("uid mismatch: the provided object specified uid {uid}, and no existing object was found");
            return Err(ApiError::conflict(row.group, row.plural, call.info.name, why));
        }
        Ok(object)
    }
}
