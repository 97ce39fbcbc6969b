//! The JSON Schema of profiles, for editors and for `sandbar schema device`.

use super::Device;

/// The schema, as JSON.
#[must_use]
pub fn profile_schema() -> serde_json::Value {
    let schema = schemars::generate::SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Device>();
    let mut schema = schema.to_value();
    schema["$id"] = "https://sandbar.dev/schemas/device.json".into();
    schema
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::shipped;

    #[test]
    fn every_shipped_profile_is_of_the_schema_and_unknown_keys_are_not() {
        let schema = jsonschema::validator_for(&profile_schema()).unwrap();
        for profile in shipped() {
            let mut value: serde_json::Value = toml::from_str(profile.text).unwrap();
            let errors: Vec<String> = schema.iter_errors(&value).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{}: {errors:?}", profile.name);
            value["disk"]["speed"] = 1.into();
            assert!(!schema.is_valid(&value), "{}", profile.name);
        }
    }
}
