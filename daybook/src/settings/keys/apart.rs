//! What of the shop a process runs, and where the rest is.

use super::{Key, Secrecy, key};

pub(super) const KEYS: &[Key] = &[
    key(
        "role",
        "commands,relay,sagas,queries",
        "ROLE,…",
        "What this process does for its services",
    ),
    key(
        "service",
        "catalogue,orders,inventory,payments,checkout",
        "SERVICE,…",
        "The services that are here; the databases of others are not touched",
    )
    .everywhere(),
    database("catalogue_database_url", "The database of the catalogue, if it has one of its own"),
    database("orders_database_url", "The database of the orders, if they have one of their own"),
    database("inventory_database_url", "The database of the inventory, if it has one of its own"),
    database(
        "payments_database_url",
        "The database of the payments, if they have one of their own",
    ),
    database(
        "checkout_database_url",
        "The database of the checkouts, if they have one of their own",
    ),
    address("catalogue_url", "Where the catalogue's commands and log are served, if not here"),
    address("orders_url", "Where the orders' commands and log are served, if not here"),
    address("inventory_url", "Where the inventory's commands and log are served, if not here"),
    address("payments_url", "Where the payments' commands and log are served, if not here"),
    address("checkout_url", "Where the checkouts' commands and log are served, if not here"),
];

const fn database(name: &'static str, help: &'static str) -> Key {
    key(name, "", "URL", help).unset().everywhere().secret(Secrecy::Password)
}

const fn address(name: &'static str, help: &'static str) -> Key {
    key(name, "", "URL", help).unset().everywhere()
}
