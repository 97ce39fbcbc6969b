//! The JSON Schema of the cluster file, for editors and for `sandbar schema`.

use super::{API_VERSION, ClusterFile, KIND};

/// The schema, as JSON.
#[must_use]
pub fn cluster_file_schema() -> serde_json::Value {
    let schema =
        schemars::generate::SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<ClusterFile>();
    let mut schema = schema.to_value();
    schema["$id"] = "https://sandbar.dev/schemas/cluster.v1alpha1.json".into();
    schema["properties"]["apiVersion"]["const"] = API_VERSION.into();
    schema["properties"]["kind"]["const"] = KIND.into();
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_refuses_unknown_keys_everywhere() {
        let schema = cluster_file_schema();
        assert_eq!(schema["properties"]["apiVersion"]["const"], API_VERSION);
        assert_eq!(schema["additionalProperties"], false);
        for (name, definition) in schema["$defs"].as_object().unwrap() {
            if definition["type"] == "object" {
                assert_eq!(definition["additionalProperties"], false, "{name}");
            }
        }
    }
}
