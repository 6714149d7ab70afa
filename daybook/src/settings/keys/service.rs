//! How Daybook runs: all that may be a flag.

use super::{Key, Secrecy, key};

pub(super) const KEYS: &[Key] = &[
    key("data_dir", ".daybook", "FOLDER", "Where the embedded Postgres and Kafka keep their data")
        .everywhere(),
    key(
        "database_url",
        "",
        "URL",
        "A Postgres of yours, as a user who may create schemas and roles; without it one is \
         embedded. DATABASE_URL is heard too",
    )
    .unset()
    .everywhere()
    .secret(Secrecy::Password),
    key(
        "kafka_brokers",
        "",
        "HOST:PORT,…",
        "A Kafka of yours; without it one is embedded. KAFKA_BROKERS is heard too",
    )
    .unset()
    .everywhere(),
    key("topic_prefix", "", "TEXT", "What the names of topics and consumer groups begin with")
        .everywhere(),
    key(
        "log",
        "warn,daybook=info,request=info",
        "FILTER",
        "What is logged, in the words of tracing: `info`, `warn,event_store=debug`",
    )
    .everywhere()
    .live(),
    key(
        "log_format",
        "text",
        "text|json",
        "How a line of the log looks: for people or for machines",
    )
    .everywhere(),
    key("listen", "127.0.0.1:7400", "ADDRESS", "Where to listen; port 0 is any free one"),
    key(
        "kafka",
        "auto",
        "auto|off",
        "Whether to embed a Kafka when none is given: `auto` does if there is a Java; with `off` \
         followers read the log alone",
    ),
    key("kafka_port", "9092", "PORT", "The port of the embedded Kafka; 0 is any free one"),
    key(
        "kafka_jars",
        "",
        "FOLDER",
        "Where Kafka's jars are; without it, where `make setup` puts them",
    )
    .unset(),
    key("partitions", "8", "NUMBER", "Partitions of a log; fixed when the log is made"),
    key("lanes", "2", "NUMBER", "Connections that append, for each log")
        .bound("daybook_lane_queued"),
    key("readers", "4", "NUMBER", "Connections that read, for each log")
        .bound("daybook_pool_waiting"),
    key("followers", "8", "NUMBER", "Connections of the followers, for each service")
        .bound("daybook_pool_waiting"),
    key(
        "shortcut",
        "true",
        "true|false",
        "Tell followers of this process at once what it appends; else Kafka brings it, as from others",
    ),
    key("accept_history", "false", "true|false", "Let an import send its own prices and times"),
    key(
        "provider_url",
        "",
        "URL",
        "A payment provider that speaks Stripe's wire format; without it a sandbox inside moves \
         no money",
    )
    .unset(),
    key("provider_key", "", "KEY", "What the provider knows us by").unset().secret(Secrecy::Whole),
    key("provider_key_file", "", "FILE", "Or by what stands in this file at the start").unset(),
    key(
        "cors_origins",
        "",
        "ORIGIN,…",
        "Whose pages a browser lets call, besides our own: https://shop.example; `*` for everybody's",
    )
    .unset()
    .live(),
    key("compress_from_bytes", "1024", "BYTES", "The least answer of a query that is compressed"),
    key(
        "trusted_proxies",
        "",
        "ADDRESS,…",
        "Proxies that are believed when they say for whom they ask: addresses and networks, 10.1.0.0/16",
    )
    .unset()
    .live(),
    key("commands_per_s", "0", "NUMBER", "Commands a second of one caller; more get 429. 0: any number")
        .bound("daybook_rate_limited_total")
        .live(),
    key("commands_burst", "0", "NUMBER", "Commands of one caller at once; 0: those of a second")
        .bound("daybook_rate_limited_total")
        .live(),
    key("queries_per_s", "0", "NUMBER", "Queries a second of one caller; more get 429. 0: any number")
        .bound("daybook_rate_limited_total")
        .live(),
    key("queries_burst", "0", "NUMBER", "Queries of one caller at once; 0: those of a second")
        .bound("daybook_rate_limited_total")
        .live(),
    key("logs_per_s", "0", "NUMBER", "Looks at logs a second of one caller, services not counted; more get 429. 0: any number")
        .bound("daybook_rate_limited_total")
        .live(),
    key("logs_burst", "0", "NUMBER", "Looks at logs of one caller at once; 0: those of a second")
        .bound("daybook_rate_limited_total")
        .live(),
    key(
        "route_limits",
        "",
        "ROUTE=NUMBER:NUMBER,…",
        "Of single routes, a second and at once, instead: `POST /v1/orders=5:20`; 0: any number",
    )
    .unset()
    .bound("daybook_rate_limited_total")
    .live(),
    key("body_limit_bytes", "1048576", "BYTES", "The longest body of a request")
        .bound("http_requests_total"),
    key("request_timeout_s", "30", "SECONDS", "How long a request may take")
        .bound("http_request_duration_seconds"),
    key("shutdown_s", "20", "SECONDS", "How long an orderly stop may take")
        .bound("http_connections"),
    key(
        "settle_deadline_s",
        "900",
        "SECONDS",
        "How long an order may take to be confirmed before it is cancelled",
    )
    .bound("daybook_behind"),
    key(
        "finish_deadline_s",
        "86400",
        "SECONDS",
        "How long what follows may take before a person is told",
    )
    .bound("daybook_checkouts_needing_attention"),
];
