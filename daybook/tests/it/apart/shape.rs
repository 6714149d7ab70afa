use super::street::{PARTS, Part};
use std::net::Ipv4Addr;

/// How a shop runs of which every service has processes of its own. The flows are the same in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Nobody is asked who he is, and the tests' own front leads callers and services to whoever serves them.
    Apart,
    /// The same, with a process for each role of each service.
    EachRole,
    /// Everybody shows a token. Services speak to each other over TLS, both sides with a certificate, and nobody is
    /// between them.
    Guarded,
    /// The same behind the real gateway, which is between services too: every process is there twice.
    Gateway,
}

/// What `serve --role` can be told of each service; of the sagas there are those of two.
static EACH_ROLE: [Part; 17] = [
    ("catalogue", "commands"),
    ("catalogue", "relay"),
    ("catalogue", "queries"),
    ("orders", "commands"),
    ("orders", "relay"),
    ("orders", "queries"),
    ("inventory", "commands"),
    ("inventory", "relay"),
    ("inventory", "queries"),
    ("payments", "commands"),
    ("payments", "relay"),
    ("payments", "sagas"),
    ("payments", "queries"),
    ("checkout", "commands"),
    ("checkout", "relay"),
    ("checkout", "sagas"),
    ("checkout", "queries"),
];

impl Shape {
    /// What runs in a process each.
    pub(super) fn parts(self) -> &'static [Part] {
        match self {
            Shape::Apart | Shape::Guarded | Shape::Gateway => &PARTS,
            Shape::EachRole => &EACH_ROLE,
        }
    }

    /// Where processes run, all of them at each.
    pub(crate) fn hosts(self) -> &'static [Ipv4Addr] {
        static HOSTS: [Ipv4Addr; 2] = [Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 2)];
        match self {
            Shape::Apart | Shape::EachRole | Shape::Guarded => &HOSTS[..1],
            Shape::Gateway => &HOSTS,
        }
    }

    pub(super) fn is_guarded(self) -> bool {
        match self {
            Shape::Apart | Shape::EachRole => false,
            Shape::Guarded | Shape::Gateway => true,
        }
    }
}
