//! The descriptions of table columns that are fields of published types, read from the catalog once.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::builtin::GROUP_VERSIONS;
use crate::hooks::Doc;
use crate::table;

/// What the OpenAPI documents add to the description of an enumeration, and tables do not.
const ENUM_LIST: &str = "\n\nPossible enum values:";

static TEXTS: LazyLock<HashMap<(&'static str, &'static str), String>> = LazyLock::new(|| {
    let own = GROUP_VERSIONS.iter().flat_map(|gv| gv.kinds).filter_map(|row| row.hooks.table);
    let columns = own.chain([table::DEFAULT, table::NAME_AND_AGE]).flat_map(|printer| printer.columns);
    let mut fields: Vec<(&str, &str)> = columns
        .filter_map(|column| match column.doc {
            Doc::Field(definition, field) => Some((definition, field)),
            Doc::Text(_) => None,
        })
        .collect();
    fields.sort_unstable();
    fields.dedup();
    let texts = kuorum_schema::openapi::field_descriptions(&fields);
    let plain = |text: String| text.split(ENUM_LIST).next().unwrap_or("").to_owned();
    fields.into_iter().zip(texts).filter_map(|(field, text)| Some((field, plain(text?)))).collect()
});

/// The description of a field that some column names; empty for any other.
pub fn of(definition: &'static str, field: &'static str) -> &'static str {
    TEXTS.get(&(definition, field)).map_or("", String::as_str)
}
