//! Ports on 127.0.0.1.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use super::error::{EmbeddedError, file};

pub(super) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// A port that nobody listens on now. Somebody may before it is used; then the server does not
/// start, and is started again.
pub(super) fn any_free() -> Result<u16, EmbeddedError> {
    let free =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    free.map(|address| address.port()).map_err(file("listen on", "127.0.0.1:0"))
}

/// The port that is asked for; for 0 the one used last time, so that addresses stay what they were,
/// else any free one.
pub(super) fn choose(
    server: &'static str,
    asked: u16,
    last: Option<u16>,
) -> Result<u16, EmbeddedError> {
    if asked != 0 {
        return if is_free(asked) {
            Ok(asked)
        } else {
            Err(EmbeddedError::PortTaken { server, port: asked })
        };
    }
    last.filter(|port| is_free(*port)).map_or_else(any_free, Ok)
}

/// The ports that were noted in a file by an earlier start.
pub(super) fn noted<const N: usize>(note: &Path) -> Option<[u16; N]> {
    let text = std::fs::read_to_string(note).ok()?;
    let ports: Vec<u16> = text.split_whitespace().filter_map(|port| port.parse().ok()).collect();
    ports.try_into().ok()
}

pub(super) fn note(file_: &Path, ports: &[u16]) -> Result<(), EmbeddedError> {
    let text = ports.iter().map(u16::to_string).collect::<Vec<_>>().join(" ");
    // On a full disk writing the same again would leave nothing.
    if std::fs::read_to_string(file_).is_ok_and(|noted| noted == text) {
        return Ok(());
    }
    std::fs::write(file_, text).map_err(file("write", file_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_refused_by_name_and_the_last_one_is_preferred() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let refused = choose("Kafka", port, None).unwrap_err();
        assert!(refused.to_string().contains(&format!("port {port}")), "{refused}");
        assert_ne!(choose("Kafka", 0, Some(port)).unwrap(), port);
        drop(taken);
        assert_eq!(choose("Kafka", 0, Some(port)).unwrap(), port);
    }
}
