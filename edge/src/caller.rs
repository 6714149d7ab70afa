//! From where somebody calls.

use axum::extract::ConnectInfo;
use http::{HeaderMap, request::Parts};
use ipnet::IpNet;
use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    str::FromStr,
    sync::{Arc, PoisonError, RwLock},
};

/// The proxies that are believed when they say for whom they ask: addresses and networks, `10.0.0.7, 10.1.0.0/16`. By
/// default there are none, and every caller is whoever holds the connection. Clones share them, and they may be set to
/// others at any time.
#[derive(Clone, Debug, Default)]
pub struct Proxies(Arc<RwLock<Nets>>);

#[derive(Clone, Debug, Default)]
struct Nets(Arc<[IpNet]>);

#[derive(Debug, thiserror::Error)]
#[error("proxies are addresses or networks with commas between, as 10.0.0.7, 10.1.0.0/16")]
pub struct NoProxies;

impl FromStr for Proxies {
    type Err = NoProxies;

    fn from_str(text: &str) -> Result<Self, NoProxies> {
        let net = |text: &str| {
            let net = text.trim().parse::<IpNet>();
            net.or_else(|_| text.trim().parse::<IpAddr>().map(IpNet::from)).map_err(|_| NoProxies)
        };
        let nets = Nets(text.split(',').map(net).collect::<Result<_, _>>()?);
        Ok(Proxies(Arc::new(RwLock::new(nets))))
    }
}

impl Proxies {
    /// From now on these are believed, and no others.
    pub fn set(&self, others: &Proxies) {
        let others = others.nets();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = others;
    }

    fn nets(&self) -> Nets {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The address of whoever asks: the nearest one that is no proxy of ours. What stands beyond it may be invented.
    ///
    /// Proxies say it in `X-Forwarded-For` or in `Forwarded` (RFC 7239). A request that has both has one that no proxy of
    /// ours has written, and neither is believed.
    pub fn address(&self, request: &Parts) -> Option<IpAddr> {
        let ConnectInfo(peer) = request.extensions.get::<ConnectInfo<SocketAddr>>()?;
        let (peer, nets) = (peer.ip().to_canonical(), self.nets());
        if !nets.has(peer) {
            return Some(peer);
        }
        let (plain, standard) = forwarded(&request.headers);
        let said = match (plain.is_empty(), standard.is_empty()) {
            (false, true) => plain,
            (true, false) => standard,
            (true, true) | (false, false) => Vec::new(),
        };
        let mut nearest = peer;
        for address in said.into_iter().rev() {
            // What cannot be read was not written by a proxy of ours.
            let Some(address) = address else { break };
            nearest = address;
            if !nets.has(address) {
                break;
            }
        }
        Some(nearest)
    }
}

impl Nets {
    fn has(&self, address: IpAddr) -> bool {
        self.0.iter().any(|net| net.contains(&address))
    }
}

/// A host of IPv6 has a whole network of 2^64 addresses; it is one caller.
pub(crate) fn as_caller(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
    }
}

/// For whom proxies say that they ask, by `X-Forwarded-For` and by `Forwarded`; none where it cannot be read.
pub(crate) fn forwarded(headers: &HeaderMap) -> (Vec<Option<IpAddr>>, Vec<Option<IpAddr>>) {
    let plain = list(headers, "x-forwarded-for").into_iter().map(read).collect();
    let standard = list(headers, "forwarded").into_iter().map(forwarded_for).collect();
    (plain, standard)
}

/// The elements of a header that is a list, in however many lines.
fn list<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    let values = headers.get_all(name).iter();
    let values = values.map(|value| value.to_str().unwrap_or("unreadable"));
    values.flat_map(|value| value.split(',')).map(str::trim).collect()
}

/// `192.0.2.7`, `192.0.2.7:4711`, `2001:db8::1`, `[2001:db8::1]:4711`
pub(crate) fn read(text: &str) -> Option<IpAddr> {
    let address = text.parse().or_else(|_| text.parse::<SocketAddr>().map(|it| it.ip()));
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    address.ok().or_else(bare).map(|address: IpAddr| address.to_canonical())
}

/// `for="[2001:db8::1]:4711";proto=https`
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let (_, node) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
    read(node.trim().trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::{Proxies, as_caller};
    use axum::extract::ConnectInfo;
    use http::Request;
    use std::net::SocketAddr;

    fn address(proxies: &str, peer: &str, headers: &[(&str, &str)]) -> String {
        let proxies =
            if proxies.is_empty() { Proxies::default() } else { proxies.parse().unwrap() };
        let request = headers.iter().fold(Request::new(()), |mut request, (name, value)| {
            let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
            request.headers_mut().append(name, value.parse().unwrap());
            request
        });
        let (mut parts, ()) = request.into_parts();
        let peer: SocketAddr = format!("{peer}:4711").parse().unwrap();
        parts.extensions.insert(ConnectInfo(peer));
        proxies.address(&parts).unwrap().to_string()
    }

    #[test]
    fn only_a_trusted_proxy_is_believed_and_only_about_what_it_has_seen() {
        let said = |text| [("x-forwarded-for", text)];
        assert_eq!(address("", "192.0.2.9", &said("203.0.113.1")), "192.0.2.9");
        assert_eq!(address("10.0.0.7", "192.0.2.9", &said("203.0.113.1")), "192.0.2.9");
        assert_eq!(address("10.0.0.7", "10.0.0.7", &said("203.0.113.1")), "203.0.113.1");
        // Whoever called has written the first one himself.
        let forged = said("198.51.100.1, 203.0.113.1");
        assert_eq!(address("10.0.0.7", "10.0.0.7", &forged), "203.0.113.1");
        let chain = said("198.51.100.1, 203.0.113.1, 10.0.3.4");
        assert_eq!(address("10.0.0.0/16", "10.0.0.7", &chain), "203.0.113.1");
        assert_eq!(address("10.0.0.7", "10.0.0.7", &said("203.0.113.1, junk")), "10.0.0.7");
        assert_eq!(address("10.0.0.7", "10.0.0.7", &[]), "10.0.0.7");
        let lines = [("x-forwarded-for", "198.51.100.1"), ("x-forwarded-for", "203.0.113.1")];
        assert_eq!(address("10.0.0.7", "10.0.0.7", &lines), "203.0.113.1");
    }

    #[test]
    fn the_standard_header_is_understood_and_both_together_are_not_believed() {
        let standard = [("forwarded", "for=198.51.100.1, For=\"[2001:db8::1]:4711\";proto=https")];
        assert_eq!(address("::1", "[::1]", &standard), "2001:db8::1");
        let hidden = [("forwarded", "for=_hidden")];
        assert_eq!(address("::1", "[::1]", &hidden), "::1");
        let both = [("forwarded", "for=198.51.100.1"), ("x-forwarded-for", "203.0.113.1")];
        assert_eq!(address("10.0.0.7", "10.0.0.7", &both), "10.0.0.7");
    }

    #[test]
    fn an_address_is_one_however_it_is_written_and_a_network_of_a_host_is_one_caller() {
        assert_eq!(
            address("10.0.0.7", "[::ffff:10.0.0.7]", &[("x-forwarded-for", "1.2.3.4:5")]),
            "1.2.3.4"
        );
        let one = as_caller("2001:db8:1:2:3:4:5:6".parse().unwrap());
        assert_eq!(one, as_caller("2001:db8:1:2::1".parse().unwrap()));
        assert_ne!(one, as_caller("2001:db8:1:3::1".parse().unwrap()));
        assert!("10.0.0.0/33".parse::<Proxies>().is_err());
        assert!("somewhere".parse::<Proxies>().is_err());
    }
}
