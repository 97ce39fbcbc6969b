//! Amounts in words that people read at a glance.

use std::time::Duration;

use jiff::Timestamp;

/// A duration as seconds with one decimal below a minute, then minutes and seconds.
#[must_use]
pub fn seconds(duration: Duration) -> String {
    let tenths = (duration.as_millis() + 50) / 100;
    if tenths < 600 {
        format!("{}.{} s", tenths / 10, tenths % 10)
    } else {
        format!("{} min {} s", tenths / 600, tenths % 600 / 10)
    }
}

/// Bytes with a binary unit.
#[must_use]
pub fn bytes(amount: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut scaled = u128::from(amount) * 10;
    while scaled >= 10_240 && unit + 1 < UNITS.len() {
        scaled /= 1024;
        unit += 1;
    }
    if unit == 0 || scaled >= 1000 {
        format!("{} {}", scaled / 10, UNITS[unit])
    } else {
        format!("{}.{} {}", scaled / 10, scaled % 10, UNITS[unit])
    }
}

/// How long ago a time was, in its largest unit.
#[must_use]
pub fn since(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second().saturating_sub(then.as_second()).max(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86400),
    }
}

/// How long it is until a time, in the largest unit.
#[must_use]
pub fn left(until: Timestamp, now: Timestamp) -> String {
    if until <= now { "over".to_owned() } else { format!("in {}", since(now, until)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_short() {
        for (millis, words) in
            [(0, "0.0 s"), (2949, "2.9 s"), (2950, "3.0 s"), (59_940, "59.9 s"), (61_000, "1 min 1 s")]
        {
            assert_eq!(seconds(Duration::from_millis(millis)), words);
        }
        for (amount, words) in
            [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (200 << 20, "200 MiB"), (1 << 41, "2.0 TiB")]
        {
            assert_eq!(bytes(amount), words);
        }
        let at = |second| Timestamp::from_second(second).unwrap();
        for (second, words) in [(5, "5s"), (125, "2m"), (7300, "2h"), (200_000, "2d"), (-5, "0s")] {
            assert_eq!(since(at(0), at(second)), words);
        }
        for (second, words) in [(90, "in 1m"), (1, "in 1s"), (0, "over"), (-1, "over")] {
            assert_eq!(left(at(second), at(0)), words);
        }
    }
}
