use super::{Key, Secrecy, bound, key};

/// In the order in which they are shown.
pub(in crate::settings) const KEYS: &[Key] = &[
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
    .everywhere(),
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
    bound(
        "connections",
        "10000",
        "NUMBER",
        "Connections of callers that are open at once; whoever comes then waits to be accepted",
        "http_connections",
    ),
    bound(
        "commands",
        "10000",
        "NUMBER",
        "Commands that are inside at once; more get 503 at once",
        "daybook_requests_inside",
    ),
    bound(
        "queries",
        "1000",
        "NUMBER",
        "Queries that are inside at once; more get 503 at once",
        "daybook_requests_inside",
    ),
    bound(
        "overload_ms",
        "100",
        "MILLISECONDS",
        "When 64 commands have been inside for so long, others get 503 at once",
        "daybook_requests_refused_total",
    ),
    bound(
        "min_position_wait_ms",
        "2000",
        "MILLISECONDS",
        "How long a request waits for the position that it asks for",
        "http_request_duration_seconds",
    ),
    bound(
        "stream_queue",
        "5000",
        "NUMBER",
        "Commands that may wait for one stream",
        "daybook_transact_queued",
    ),
    bound(
        "decider_queue",
        "20000",
        "NUMBER",
        "Commands that may wait for the streams of one kind",
        "daybook_transact_queued",
    ),
    bound(
        "chain",
        "256",
        "NUMBER",
        "Commands to one stream that are decided and appended together",
        "daybook_transact_chain_commands",
    ),
    bound(
        "conflicts",
        "20",
        "NUMBER",
        "How often a command is decided again after another process was faster",
        "daybook_transact_conflicts_total",
    ),
    bound(
        "state_cache_bytes",
        "67108864",
        "BYTES",
        "Folded states that are kept, for each kind of stream",
        "daybook_transact_cache_bytes",
    ),
    bound(
        "lane_queue",
        "10000",
        "NUMBER",
        "Appends that may wait for one connection",
        "daybook_lane_queued",
    ),
    bound(
        "append_batch",
        "500",
        "NUMBER",
        "Appends in one call of Postgres",
        "daybook_append_batch_chains",
    ),
    bound(
        "append_batch_bytes",
        "4194304",
        "BYTES",
        "Payloads in one call of Postgres",
        "daybook_append_batch_bytes",
    ),
    bound(
        "event_bytes",
        "900000",
        "BYTES",
        "The largest payload; keep it below what the topics take",
        "http_requests_total",
    ),
    bound(
        "call_timeout_s",
        "20",
        "SECONDS",
        "After so long without an answer of Postgres an append is sent again, a read given up",
        "daybook_append_resent_total",
    ),
    bound(
        "append_wait_s",
        "5",
        "SECONDS",
        "An append that could not be made in so long is refused, unless it may have been made",
        "daybook_append_turned_away_total",
    ),
    bound(
        "relay_window",
        "8000",
        "NUMBER",
        "Events of a log that may be under way to Kafka",
        "daybook_relay_in_flight",
    ),
    bound(
        "relay_page",
        "500",
        "NUMBER",
        "Events that the relay reads at once",
        "daybook_relay_in_flight",
    ),
    bound(
        "relay_stall_s",
        "30",
        "SECONDS",
        "After so long without an acknowledgement of Kafka the relay begins with a new client",
        "daybook_relay_up",
    ),
    bound(
        "follow_timeout_s",
        "60",
        "SECONDS",
        "A batch that a follower could not post in so long is given up and tried again",
        "daybook_follower_failures_total",
    ),
    bound(
        "parked",
        "10000",
        "NUMBER",
        "Events that may be parked of a partition for one follower; past that it stops",
        "daybook_follower_parked_events",
    ),
    bound(
        "requests_at_once",
        "64",
        "NUMBER",
        "Requests of the checkouts to other services that are under way at once",
        "daybook_dues_under_way",
    ),
    bound(
        "calls_at_once",
        "32",
        "NUMBER",
        "Calls to the payment provider that are under way at once",
        "daybook_dues_under_way",
    ),
    bound(
        "due_lease_s",
        "30",
        "SECONDS",
        "How long what is due belongs to whoever took it on",
        "daybook_dues_under_way",
    ),
    bound(
        "due_retry_first_ms",
        "200",
        "MILLISECONDS",
        "The pause after a request that failed; it doubles with each",
        "daybook_due_retries_total",
    ),
    bound(
        "due_retry_most_ms",
        "30000",
        "MILLISECONDS",
        "The longest pause between two tries of a request",
        "daybook_due_retries_total",
    ),
    bound(
        "due_poll_ms",
        "200",
        "MILLISECONDS",
        "How often what comes due is looked for, besides being told",
        "daybook_behind",
    ),
    bound(
        "provider_connect_s",
        "5",
        "SECONDS",
        "Until the payment provider must have taken a connection",
        "daybook_provider_call_seconds",
    ),
    bound(
        "provider_answer_s",
        "20",
        "SECONDS",
        "Until the payment provider must have answered",
        "daybook_provider_call_seconds",
    ),
    bound(
        "provider_failures",
        "10",
        "NUMBER",
        "Calls in a row that may fail before the payment provider is left alone for a while",
        "daybook_provider_breaker_open",
    ),
    bound(
        "provider_pause_first_ms",
        "500",
        "MILLISECONDS",
        "How long it is left alone at first; it doubles",
        "daybook_provider_breaker_open",
    ),
    bound(
        "provider_pause_most_ms",
        "15000",
        "MILLISECONDS",
        "How long it is left alone at most",
        "daybook_provider_breaker_open",
    ),
];
