//! `ssh://[USER@]HOST[:PORT][/PATH]`, as Docker's and Podman's clients have it.

use std::fmt;

/// Where an engine behind SSH is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::engine::container) struct Address {
    /// Who the user is there, if that is not for his settings to say.
    user: Option<String>,
    /// A name or an address, or a `Host` of the user's settings.
    pub host: String,
    port: Option<u16>,
    /// Path of the engine's socket there; none is one of the usual ones.
    pub socket: Option<String>,
}

impl Address {
    /// From what follows `ssh://`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (place, path) = text.find('/').map_or((text, ""), |at| text.split_at(at));
        let socket = Some(path).filter(|path| path.len() > 1).map(str::to_owned);
        let (user, place) = place.rsplit_once('@').map_or((None, place), |(user, place)| (Some(user), place));
        let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, port)) => (host, Some(port.strip_prefix(':').unwrap_or(port))),
            None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
        };
        let port = port.map(|port| port.parse().map_err(|_| format!("{port:?} is no port"))).transpose()?;
        // What a shell or ssh would take for something else; a password has no place in an address.
        let strange = |text: &str| {
            text.is_empty()
                || text.starts_with('-')
                || text.contains(|c: char| !c.is_alphanumeric() && !"-_.:%+".contains(c))
        };
        match (user, &socket) {
            _ if strange(host) => Err(format!("{host:?} is no host")),
            (Some(user), _) if strange(user) || user.contains(':') => Err(format!("{user:?} is no user")),
            (_, Some(path)) if path.contains(|c: char| !c.is_alphanumeric() && !"-_./+@".contains(c)) => {
                Err(format!("{path:?} is no path of a socket"))
            }
            _ => Ok(Self { user: user.map(str::to_owned), host: host.to_owned(), port, socket }),
        }
    }

    /// As arguments of ssh(1).
    pub fn arguments(&self) -> Vec<String> {
        let user = self.user.iter().flat_map(|user| ["-l".to_owned(), user.clone()]);
        let port = self.port.iter().flat_map(|port| ["-p".to_owned(), port.to_string()]);
        user.chain(port).chain([self.host.clone()]).collect()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        write!(f, "ssh://{user}{host}{port}{}", self.socket.as_deref().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_the_engines_own_clients() {
        for (text, arguments, socket) in [
            (
                "ssh://core@host:2222/run/user/1000/podman/podman.sock",
                "-l core -p 2222 host",
                Some("/run/user/1000/podman/podman.sock"),
            ),
            ("ssh://box", "box", None),
            ("ssh://me@[fd00::1]:22", "-l me -p 22 fd00::1", None),
        ] {
            let address = Address::parse(text.strip_prefix("ssh://").unwrap()).unwrap();
            assert_eq!((address.arguments().join(" ").as_str(), address.socket.as_deref()), (arguments, socket));
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn what_a_shell_would_take_for_something_else_is_refused() {
        for (text, error) in [
            ("-oProxyCommand=touch", "\"-oProxyCommand=touch\" is no host"),
            ("a:secret@host", "\"a:secret\" is no user"),
            ("host:x", "\"x\" is no port"),
            ("host/a'b", "\"/a'b\" is no path of a socket"),
            ("", "\"\" is no host"),
        ] {
            assert_eq!(Address::parse(text).unwrap_err(), error);
        }
    }
}
