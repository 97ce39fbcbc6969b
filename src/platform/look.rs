//! A look at a port of this machine before an engine is asked for it.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// How long a connection to this machine may take; one that goes astray would wait for minutes.
const CONNECT: Duration = Duration::from_millis(250);
/// How long a look of somebody else takes at most.
const MOMENT: Duration = Duration::from_millis(20);

/// What a look at a port shows. Whether the port is to be had, the engine's own bind decides in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Nobody listens, and who listens there is reached.
    Free,
    /// Somebody listens, or nobody can.
    Held,
    /// Nobody listens, and who listens there is not reached: a rule of the system's firewall takes the connections. Podman
    /// leaves such rules behind when a container is killed together with its monitor, until it notices.
    Astray,
    /// This process may not open it.
    Forbidden,
}

/// Listens at a TCP port, to see whether that is possible. Others that look in the same way at the same time hold it for a
/// moment, which is no reason to call it held.
pub fn listen(address: IpAddr, port: u16) -> std::io::Result<TcpListener> {
    let begun = Instant::now();
    loop {
        match TcpListener::bind((address, port)) {
            Err(error) if error.kind() == ErrorKind::AddrInUse && begun.elapsed() < MOMENT => {
                std::thread::sleep(MOMENT / 20);
            }
            listening => return listening,
        }
    }
}

/// Looks at a TCP port by listening there for a moment and calling on oneself.
#[must_use]
pub fn look(address: IpAddr, port: u16) -> Look {
    let listener = match listen(address, port) {
        Ok(listener) => listener,
        Err(error) if error.kind() == ErrorKind::PermissionDenied => return Look::Forbidden,
        Err(_) => return Look::Held,
    };
    let near = match address {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    };
    let reached = || -> std::io::Result<bool> {
        let caller = TcpStream::connect_timeout(&SocketAddr::new(near, port), CONNECT)?;
        // What this machine connected to itself is in the listener's queue by now.
        listener.set_nonblocking(true)?;
        Ok(listener.accept()?.1 == caller.local_addr()?)
    };
    if reached().unwrap_or(false) { Look::Free } else { Look::Astray }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_free_when_who_listens_there_is_reached() {
        let localhost = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let held = TcpListener::bind((localhost, 0)).unwrap();
        let port = held.local_addr().unwrap().port();
        assert_eq!(look(localhost, port), Look::Held);
        drop(held);
        assert_eq!(look(localhost, port), Look::Free);
        assert_eq!(look(Ipv4Addr::UNSPECIFIED.into(), port), Look::Free);
        // Nobody can listen at an address that is another machine's (TEST-NET-1, RFC 5737).
        assert_eq!(look("192.0.2.77".parse().unwrap(), port), Look::Held);
    }
}
