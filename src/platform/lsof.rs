//! What `lsof` of macOS prints, read.

use std::net::IpAddr;

use super::PortHolder;
use super::ports::overlap;

/// Who listens at that address or at all addresses, in what `lsof -nP -Fpcn -iTCP:PORT -sTCP:LISTEN` prints: one field a
/// line, `p` a process, `c` its command, `n` where it listens (lsof(8), "OUTPUT FOR OTHER PROGRAMS").
pub(super) fn holder(text: &str, address: IpAddr) -> Option<PortHolder> {
    let (mut pid, mut program) = (None, None);
    for line in text.lines() {
        if let Some(number) = line.strip_prefix('p') {
            (pid, program) = (number.parse().ok(), None);
        } else if let Some(name) = line.strip_prefix('c') {
            program = Some(name);
        } else if let Some(name) = line.strip_prefix('n')
            && listens(name, address)
        {
            return Some(PortHolder { pid: pid?, program: program?.to_owned(), container: None });
        }
    }
    None
}

/// Whether `127.0.0.1:6443`, `[::1]:6443` or, for all addresses of either kind, `*:6443` is in the way of that address.
fn listens(name: &str, address: IpAddr) -> bool {
    let Some((host, _)) = name.rsplit_once(':') else { return false };
    host == "*" || host.trim_matches(['[', ']']).parse().is_ok_and(|host| overlap(host, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_is_who_listens_at_that_address() {
        let text = "p501\ncssh\nf6\nn127.0.0.2:6443\np502\ncgvproxy\nf9\nn127.0.0.1:6443\nf10\nn[::1]:6443\n";
        let pid = |text, address: &str| holder(text, address.parse().unwrap()).map(|holder| holder.pid);
        assert_eq!(pid(text, "127.0.0.1"), Some(502));
        assert_eq!(pid(text, "127.0.0.2"), Some(501));
        assert_eq!(pid(text, "::1"), Some(502));
        assert_eq!(pid(text, "192.168.1.1"), None);
        assert_eq!(pid(text, "0.0.0.0"), Some(501));
        assert_eq!(pid("p7\ncdocker\nf4\nn*:6443\n", "127.0.0.1"), Some(7));
        for nobody in ["", "p\nc\nn*:1\n", "n*:6443\n", "rubbish"] {
            assert_eq!(pid(nobody, "127.0.0.1"), None, "{nobody}");
        }
        let shown = holder(text, "127.0.0.1".parse().unwrap()).map(|holder| holder.to_string());
        assert_eq!(shown.as_deref(), Some("gvproxy (process 502)"));
    }
}
