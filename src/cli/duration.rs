//! Lengths of time as people type them.

use std::time::Duration;

use crate::cluster::Lease;

/// Such as `500ms`, `90s`, `5m` or `1h`; a number alone is seconds.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let millis = match unit {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => 0,
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(millis))
        .filter(|millis| *millis > 0)
        .map(Duration::from_millis)
        .ok_or_else(|| format!("`{text}` is not a length of time (such as 90s, 5m or 500ms)"))
}

/// How long a cluster is wanted: such a length of time, or `never` for one that does not end.
pub(super) fn lease(text: &str) -> Result<Lease, String> {
    if text == "never" { Ok(Lease::Unlimited) } else { parse(text).map(Lease::For) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_have_a_unit() {
        for (text, millis) in [("500ms", 500), ("90s", 90_000), ("90", 90_000), ("5m", 300_000), ("1h", 3_600_000)] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "0", "-1s", "1.5s", "5 m", "1d", "99999999999999999999h"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
