//! The profiles that come with this program.

use std::path::Path;

use super::{Device, ProfileError, parse};
use crate::spec::nearest;

/// A profile that comes with this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shipped {
    /// Its name.
    pub name: &'static str,
    /// Its text.
    pub text: &'static str,
}

macro_rules! profiles {
    ($($name:literal),*) => {
        [$(Shipped { name: $name, text: include_str!(concat!("profiles/", $name, ".toml")) }),*]
    };
}

/// All of them: boards first, then what is none in particular.
const SHIPPED: [Shipped; 7] =
    profiles!["raspberry-pi-4", "raspberry-pi-5", "jetson-tx1", "jetson-orin-nano", "x86-edge", "arm64", "riscv64"];

/// All of them.
#[must_use]
pub fn shipped() -> &'static [Shipped] {
    &SHIPPED
}

/// Their names.
pub fn names() -> impl Iterator<Item = &'static str> {
    SHIPPED.iter().map(|profile| profile.name)
}

/// The one of that name.
pub fn find(name: &str) -> Result<Shipped, ProfileError> {
    SHIPPED.into_iter().find(|profile| profile.name == name).ok_or_else(|| ProfileError::Unknown {
        name: name.to_owned(),
        nearest: nearest(name, names()).map(str::to_owned),
        known: names().map(str::to_owned).collect(),
    })
}

/// Whether what a user wrote is the path of a profile of his own, by how it is written: what is in the current folder does
/// not change it.
#[must_use]
pub fn is_path(text: &str) -> bool {
    text.contains(['/', '\\']) || Path::new(text).extension().is_some_and(|extension| extension == "toml")
}

impl Shipped {
    /// What it says.
    #[must_use]
    pub fn device(&self) -> Device {
        // A test reads each of them.
        parse(self.text, self.name).unwrap_or_else(|error| unreachable!("{error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_is_read_and_says_what_is_not_emulated() {
        for profile in shipped() {
            let device = parse(profile.text, profile.name).unwrap();
            assert_eq!(device.name, profile.name);
            assert!(!device.not_emulated.is_empty(), "{}", profile.name);
            assert_eq!(device.kubelet, super::super::Thresholds::default(), "{}", profile.name);
        }
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/device/profiles");
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), shipped().len(), "a profile is not named");
    }

    #[test]
    fn an_unknown_name_gets_the_nearest() {
        let error = find("rasberry-pi4").unwrap_err();
        assert_eq!(
            (error.to_string(), error.hint()),
            ("there is no device rasberry-pi4".to_owned(), "did you mean `raspberry-pi-4`?".to_owned())
        );
        assert!(find("pi").unwrap_err().hint().starts_with("there is: raspberry-pi-4, raspberry-pi-5, jetson-tx1"));
    }

    #[test]
    fn a_path_is_told_from_a_name() {
        for (text, path) in [("raspberry-pi-4", false), ("./board", true), ("board.toml", true), (r"C:\board", true)] {
            assert_eq!(is_path(text), path, "{text}");
        }
    }
}
