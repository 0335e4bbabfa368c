//! The JSON Schema of results files, for readers other than isobench.

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform as _};
use serde_json::Value;

use super::{Run, SCHEMA_VERSION};

/// The JSON Schema (draft 2020-12) of the results files that this isobench writes, made from the
/// types that write them. What no schema can say is not in it: that samples agree with the targets
/// and metrics that the file declares.
pub fn json_schema() -> Schema {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<Run>();
    RecursiveTransform(join_lines).transform(&mut schema);
    let id = format!("urn:isobench:results:{SCHEMA_VERSION}");
    schema.insert("$id".to_owned(), id.into());
    schema.insert("title".to_owned(), "Results of isobench".into());
    schema
}

/// Puts a description on one line: the lines are those of a comment in the code.
fn join_lines(schema: &mut Schema) {
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = text.replace('\n', " ");
    }
}
