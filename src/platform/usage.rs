//! What a process has taken of memory and of processors' time.

/// What a process has taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Memory that it has in use now.
    pub memory_bytes: u64,
    /// Time of processors since it began.
    pub cpu_nanos: u64,
}

/// What `ps -o rss=,time=` says: KiB, and `[[D-]H:]M:S[.F]`.
#[cfg(any(target_os = "macos", test))]
pub(super) fn parse(said: &str) -> Option<Usage> {
    let mut words = said.split_whitespace();
    let memory: u64 = words.next()?.parse().ok()?;
    let (days, time) = match words.next()?.split_once('-') {
        Some((days, time)) => (days.parse().ok()?, time),
        None => (0, said.split_whitespace().nth(1)?),
    };
    let (whole, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let seconds = whole.split(':').try_fold(0_u64, |sum, part| Some(sum * 60 + part.parse::<u64>().ok()?))?;
    let hundredths: u64 = format!("{fraction:0<2}").get(..2)?.parse().ok()?;
    let cpu_nanos = (days * 86_400 + seconds) * 1_000_000_000 + hundredths * 10_000_000;
    Some(Usage { memory_bytes: memory * 1024, cpu_nanos })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_ps_are_understood() {
        let cases = [
            ("  1024   0:01.50\n", Some((1 << 20, 1_500_000_000))),
            ("1 2:03:04", Some((1024, 7_384_000_000_000))),
            ("1 1-00:00:01.05", Some((1024, 86_401_050_000_000))),
            ("", None),
            ("x 0:01", None),
        ];
        for (said, expected) in cases {
            let expected = expected.map(|(memory_bytes, cpu_nanos)| Usage { memory_bytes, cpu_nanos });
            assert_eq!(parse(said), expected, "{said}");
        }
    }

    #[test]
    fn this_process_has_taken_something() {
        match crate::platform::native().usage(std::process::id()) {
            Ok(usage) => assert!(usage.memory_bytes > 1 << 20, "{usage:?}"),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::Unsupported),
        }
    }
}
