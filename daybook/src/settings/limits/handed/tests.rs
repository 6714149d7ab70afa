use super::*;
use crate::settings::{Loaded, ServeFlags, Settings, keys};
use std::fmt::Debug;
use tokio::sync::watch;

fn log() -> LogSettings {
    let database = event_store::Database::parse("postgres://nobody@nowhere/none");
    LogSettings::new("shop", 8, database.expect("a url"))
}

fn relay() -> RelaySettings {
    RelaySettings::new(watch::Sender::new(None).subscribe(), "topic")
}

/// With one more variable in the environment, or with the defaults alone.
fn settings(variable: Option<(String, u64)>) -> Settings {
    let variable = variable.map(|(name, value)| (name.into(), value.to_string().into()));
    let loaded = Loaded::from(None, variable, &ServeFlags::default());
    loaded.expect("a value that may be").settings
}

fn same(keys: impl Debug, library: impl Debug) {
    assert_eq!(format!("{keys:#?}"), format!("{library:#?}"));
}

/// What is measured and tested with a library's own defaults would else not be what runs.
#[test]
fn the_defaults_of_the_keys_are_those_of_the_libraries() {
    let limits = Limits::default();
    same(limits.serving(Serving::default().deadline), Serving::default());
    same(limits.access(), AccessLimits::default());
    same(limits.of_commands().crowd, Some(Crowd::default()));
    let api = command_api::Settings::default();
    same(limits.min_position_wait(), api.min_position_wait);
    same(limits.batch(), BatchLimits::default());
    same(limits.switch(), projections::SWITCH_PATIENCE);
    same(limits.room(), projections::ROOM);
    same(limits.prices(), PriceLimits::default());
    same(limits.transact(), TransactLimits::default());
    same(limits.database(), DatabaseLimits::default());
    same(limits.kafka(), KafkaLimits::default());
    same(limits.follow(), FollowLimits::default());
    same(limits.pace(), PaceLimits::default());
    same(limits.requests(), DueLimits::default());
    same(limits.checkout(checkout::Settings::default()), checkout::Settings::default());
    same(limits.provider_timeouts(), Timeouts::default());
    same(limits.breaker(), BreakerSettings::default());
    same(limits.peer(), PeerLimits::default());

    same(limits.log(log()), log());
    same(limits.relay(relay()), relay());

    // What is a flag too.
    let settings = settings(None);
    same((settings.lanes, settings.readers), (log().lanes, log().readers));
    let request = edge::Limits {
        body_bytes: settings.body_limit_bytes,
        time: settings.request_timeout(),
        ..limits.request(edge::Limits::default())
    };
    same(request, edge::Limits::default());
    let patience = checkout::Settings::default().patience;
    same(settings.settle_deadline_s, patience.settle_s);
    same(settings.finish_deadline_s, patience.finish_s);
}

/// All that is handed to anybody.
fn handed(limits: &Limits) -> String {
    let serving = limits.serving(Duration::ZERO);
    let request = limits.request(edge::Limits::default());
    let inside = (limits.of_commands(), limits.of_queries(), limits.min_position_wait());
    let inside = (inside, limits.room(), limits.batch(), limits.callers_known(), limits.access());
    let log = (limits.transact(), limits.log(log()), limits.database(), limits.watch_answer());
    let kafka = (limits.relay(relay()), limits.kafka());
    let follow = (limits.follow(), limits.pace(), limits.prices(), limits.switch());
    let checkout = limits.checkout(checkout::Settings::default());
    let payment = (limits.calls(), limits.provider_timeouts(), limits.breaker());
    let payment = (payment, limits.peer(), limits.look());
    format!("{:#?}", (serving, request, inside, log, kafka, follow, checkout, payment))
}

#[test]
fn every_key_of_a_bound_reaches_somebody() {
    let usual = handed(&Limits::default());
    for key in keys::bounds() {
        let default: u64 = key.default.and_then(|value| value.parse().ok()).expect("a number");
        // The first of two pauses may only be shortened.
        let other = if key.name.contains("_first_") { default - 1 } else { default + 1 };
        let changed = handed(&settings(Some((key.variable(), other))).limits);
        assert!(changed != usual, "nobody is told of `{}`", key.name);
    }
}
