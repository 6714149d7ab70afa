use std::net::Ipv4Addr;

/// How a shop runs of which every service has processes of its own. The flows are the same in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Nobody is asked who he is, and the tests' own front leads callers and services to whoever serves them.
    Apart,
    /// Everybody shows a token. Services speak to each other over TLS, both sides with a certificate, and nobody is
    /// between them.
    Guarded,
    /// The same behind the real gateway, which is between services too: every process is there twice.
    Gateway,
}

impl Shape {
    /// Where processes run, all of them at each.
    pub(super) fn hosts(self) -> &'static [Ipv4Addr] {
        static HOSTS: [Ipv4Addr; 2] = [Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 2)];
        match self {
            Shape::Apart | Shape::Guarded => &HOSTS[..1],
            Shape::Gateway => &HOSTS,
        }
    }

    pub(super) fn is_guarded(self) -> bool {
        match self {
            Shape::Apart => false,
            Shape::Guarded | Shape::Gateway => true,
        }
    }
}
