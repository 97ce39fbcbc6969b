//! Amounts of CPU and memory, as Kubernetes writes them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text is no amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// It is no number of cores.
    #[error("`{text}` is not a number of CPUs (such as 2, 1.5 or 500m)")]
    Cpus {
        /// The text.
        text: String,
    },
    /// It is no amount of memory.
    #[error("`{text}` is not an amount of memory (such as 2Gi, 1500Mi or 2G)")]
    Memory {
        /// The text.
        text: String,
    },
}

/// An amount of CPU, in thousandths of a core; kept as it was written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cpus {
    text: String,
    millis: u32,
}

impl Cpus {
    /// Thousandths of a core, at least 1.
    #[must_use]
    pub fn millis(&self) -> u32 {
        self.millis
    }
}

impl FromStr for Cpus {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let (number, places) = match text.strip_suffix('m') {
            Some(number) => (number, 0),
            None => (text, 3),
        };
        let millis = decimal(number, places).and_then(|millis| u32::try_from(millis).ok()).filter(|millis| *millis > 0);
        let millis = millis.ok_or_else(|| QuantityError::Cpus { text: text.to_owned() })?;
        Ok(Self { text: text.to_owned(), millis })
    }
}

/// An amount of memory in bytes; kept as it was written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Memory {
    text: String,
    bytes: u64,
}

impl Memory {
    /// Bytes, at least 1.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Units by their letter; Kubernetes' `2Gi` and `2G`, and the `2GiB`, `2g` and `2GB` that people write.
const UNITS: [(char, u32); 4] = [('k', 1), ('m', 2), ('g', 3), ('t', 4)];

impl FromStr for Memory {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let wrong = || QuantityError::Memory { text: text.to_owned() };
        let lower = text.to_ascii_lowercase();
        let end = lower.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(lower.len());
        let (number, unit) = lower.split_at(end);
        let unit = unit.strip_suffix('b').unwrap_or(unit);
        let (unit, base) = match unit.strip_suffix('i') {
            Some(unit) => (unit, 1024_u64),
            None => (unit, 1000),
        };
        let factor = match unit.chars().next() {
            None if base == 1000 => 1,
            Some(letter) if unit.len() == 1 => {
                let power = UNITS.iter().find(|(known, _)| *known == letter).ok_or_else(wrong)?.1;
                base.pow(power)
            }
            None | Some(_) => return Err(wrong()),
        };
        let thousandths = decimal(number, 3).ok_or_else(wrong)?;
        let bytes = u128::from(thousandths) * u128::from(factor) / 1000;
        let bytes = u64::try_from(bytes).ok().filter(|bytes| *bytes > 0).ok_or_else(wrong)?;
        Ok(Self { text: text.to_owned(), bytes })
    }
}

/// A decimal number times ten to the power of `places`; none where it is none, has more places or is too large.
fn decimal(text: &str, places: u32) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.chars().all(|character| character.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || text.ends_with('.') {
        return None;
    }
    let fraction_places = u32::try_from(fraction.len()).ok().filter(|length| *length <= places)?;
    let fraction: u64 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let whole: u64 = whole.parse().ok()?;
    whole.checked_mul(10_u64.pow(places))?.checked_add(fraction * 10_u64.pow(places - fraction_places))
}

macro_rules! as_text {
    ($type:ident, $field:ident, $pattern:literal, $description:literal) => {
        impl TryFrom<String> for $type {
            type Error = QuantityError;

            fn try_from(text: String) -> Result<Self, QuantityError> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.text
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.text)
            }
        }

        impl PartialEq for $type {
            fn eq(&self, other: &Self) -> bool {
                self.$field == other.$field
            }
        }

        impl Eq for $type {}

        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": ["string", "number"],
                    "pattern": $pattern,
                    "description": $description
                })
            }
        }
    };
}

as_text!(Cpus, millis, "^[0-9]+(\\.[0-9]{1,3})?$|^[0-9]+m$", "CPUs, such as 2, 1.5 or 500m.");
as_text!(Memory, bytes, "^[0-9]+(\\.[0-9]{1,3})?([kKmMgGtT]i?)?[bB]?$", "Memory, such as 2Gi, 1500Mi or 2G.");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_are_thousandths() {
        for (text, millis) in [("2", 2000), ("1.5", 1500), ("500m", 500), ("0.001", 1), ("12.25", 12250)] {
            assert_eq!(text.parse::<Cpus>().unwrap().millis(), millis, "{text}");
        }
        for text in ["", "0", "0m", "-1", "two", "1.5m", "1.", ".5", "1.0001", "99999999", "1e3"] {
            assert!(text.parse::<Cpus>().is_err(), "{text}");
        }
    }

    #[test]
    fn memory_is_bytes() {
        const GIB: u64 = 1 << 30;
        for (text, bytes) in [
            ("2Gi", 2 * GIB),
            ("2GiB", 2 * GIB),
            ("2g", 2_000_000_000),
            ("2GB", 2_000_000_000),
            ("1.5Gi", GIB * 3 / 2),
            ("512Mi", GIB / 2),
            ("1048576", 1 << 20),
            ("64kb", 64_000),
            ("1Ti", 1 << 40),
        ] {
            assert_eq!(text.parse::<Memory>().unwrap().bytes(), bytes, "{text}");
        }
        for text in ["", "0", "Gi", "2Xi", "2 Gi", "-1Gi", "1i", "2Gib2", "99999999999Ti", "1..5Gi"] {
            assert!(text.parse::<Memory>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_the_same_amount_is_equal() {
        assert_eq!("1Gi".parse::<Memory>().unwrap(), "1024Mi".parse::<Memory>().unwrap());
        assert_eq!("1.5".parse::<Cpus>().unwrap(), "1500m".parse::<Cpus>().unwrap());
    }
}
