//! Who may do what: what is trusted, and the bounds of finding out.

use super::{Key, Secrecy, bound, key};

pub(super) const KEYS: &[Key] = &[
    key(
        "auth",
        "auto",
        "auto|on|off",
        "Whether callers are asked who they are: `auto` asks everywhere but on loopback; `off` is for \
         loopback alone",
    ),
    key(
        "auth_issuer",
        "daybook",
        "TEXT",
        "What tokens of the issuer inside call it",
    )
    .everywhere(),
    key("auth_audience", "daybook", "TEXT", "For whom such tokens are").everywhere(),
    key(
        "auth_keys_file",
        "",
        "FILE",
        "The keys that sign them; without it, `token-keys.json` in the data folder",
    )
    .unset()
    .everywhere(),
    key(
        "auth_api_keys_file",
        "",
        "FILE",
        "The hashes of API keys; without it, `api-keys.json` in the data folder",
    )
    .unset()
    .everywhere(),
    key(
        "auth_issuers_file",
        "",
        "FILE",
        "Other issuers that are trusted; without it, `issuers.toml` in the data folder, if it is there",
    )
    .unset(),
    key(
        "token",
        "",
        "TOKEN",
        "What a command shows a Daybook that asks; without it, one is made with the key in the data folder",
    )
    .unset()
    .everywhere()
    .secret(Secrecy::Whole),
    bound(
        "auth_tokens",
        "10000",
        "NUMBER",
        "Tokens that are remembered, so that their signature is checked once",
        "daybook_auth_tokens_known",
    ),
    bound(
        "auth_skew_s",
        "30",
        "SECONDS",
        "So much may the clock of an issuer differ from ours",
        "daybook_auth_refused_total",
    ),
    bound(
        "auth_failures",
        "20",
        "NUMBER",
        "Wrong tokens from one address; then no unknown one of it is looked at",
        "daybook_auth_refused_total",
    ),
    bound(
        "auth_failures_s",
        "60",
        "SECONDS",
        "In how long a time, which begins with the first",
        "daybook_auth_refused_total",
    ),
    bound(
        "auth_addresses",
        "10000",
        "NUMBER",
        "Addresses of which that is remembered",
        "daybook_auth_refused_total",
    ),
    bound(
        "auth_fetch_s",
        "5",
        "SECONDS",
        "Until another issuer must have answered when it is asked for its keys",
        "daybook_auth_jwks_fetched_total",
    ),
    bound(
        "auth_refetch_s",
        "10",
        "SECONDS",
        "How soon, at the soonest, it is asked again for a key that nobody knows",
        "daybook_auth_jwks_fetched_total",
    ),
    bound(
        "auth_refresh_s",
        "600",
        "SECONDS",
        "How old its keys may become before it is asked for them again",
        "daybook_auth_jwks_fetched_total",
    ),
];
