//! A part of a hundred, exact to a thousandth.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A part of a hundred, exact to a thousandth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Percent {
    thousandths: u32,
}

/// Why a number is none.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{0} is not from 0 to 100")]
pub struct PercentError(f64);

impl TryFrom<f64> for Percent {
    type Error = PercentError;

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is from 0 to 100")]
    fn try_from(number: f64) -> Result<Self, PercentError> {
        if (0.0..=100.0).contains(&number) {
            Ok(Self { thousandths: (number * 1000.0).round() as u32 })
        } else {
            Err(PercentError(number))
        }
    }
}

impl From<Percent> for f64 {
    fn from(percent: Percent) -> Self {
        Self::from(percent.thousandths) / 1000.0
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", f64::from(*self))
    }
}

impl schemars::JsonSchema for Percent {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Percent".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "number", "minimum": 0, "maximum": 100})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_is_from_0_to_100() {
        assert_eq!(f64::from(Percent::try_from(0.5).unwrap()).to_string(), "0.5");
        assert_eq!(Percent::try_from(100.0).unwrap().to_string(), "100 %");
        assert_eq!(Percent::try_from(101.0).unwrap_err().to_string(), "101 is not from 0 to 100");
        assert!(Percent::try_from(-0.1).is_err() && Percent::try_from(f64::NAN).is_err());
    }
}
