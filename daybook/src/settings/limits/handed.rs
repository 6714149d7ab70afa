//! The bounds as those take them who keep to them.

use std::time::Duration;

use command_api::BatchLimits;
use command_api::prices::PriceLimits;
use edge::access::AccessLimits;
use edge::{AdmissionLimits, BreakerSettings, Crowd, PeerLimits, Serving};
use event_store::dues::DueLimits;
use event_store::follow::FollowLimits;
use event_store::kafka::{KafkaLimits, RelaySettings};
use event_store::{DatabaseLimits, LogSettings, Pace, PaceLimits, TransactLimits, TurnLimits};
use sagas::checkout;
use sagas::provider::Timeouts;

use super::Limits;

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl Limits {
    #[must_use]
    pub fn serving(&self, deadline: Duration) -> Serving {
        Serving {
            connections: self.connections,
            idle: s(self.idle_connection_s),
            stalled: s(self.stalled_connection_s),
            handshake: s(self.tls_handshake_s),
            accept_pause: ms(self.accept_retry_ms),
            deadline,
        }
    }

    /// Those of one request, with what else it may take.
    #[must_use]
    pub fn request(&self, limits: edge::Limits) -> edge::Limits {
        let leftover_time = ms(self.leftover_ms);
        edge::Limits { leftover_bytes: self.leftover_bytes, leftover_time, ..limits }
    }

    #[must_use]
    pub fn access(&self) -> AccessLimits {
        AccessLimits {
            tokens: self.auth_tokens,
            skew_s: self.auth_skew_s,
            failures: self.auth_failures,
            window: s(self.auth_failures_s),
            addresses: self.auth_addresses,
            fetch: s(self.auth_fetch_s),
            refetch: s(self.auth_refetch_s),
            refresh: s(self.auth_refresh_s),
        }
    }

    #[must_use]
    pub fn of_commands(&self) -> AdmissionLimits {
        let (burst, delay) = (ms(self.crowd_burst_ms), ms(self.crowd_delay_ms));
        let crowd = Crowd { size: self.crowd, burst, delay };
        AdmissionLimits { most: self.commands, crowd: Some(crowd) }
    }

    /// Some queries take their time: how long they are inside says nothing of the others.
    #[must_use]
    pub fn of_queries(&self) -> AdmissionLimits {
        AdmissionLimits { most: self.queries, crowd: None }
    }

    /// Services ask for what is owed already: whoever comes to the door with something new does not keep them out.
    #[must_use]
    pub fn of_services(&self) -> AdmissionLimits {
        AdmissionLimits { most: self.commands, crowd: None }
    }

    /// Of how many callers it is known how much they ask for.
    #[must_use]
    pub fn callers_known(&self) -> usize {
        self.callers_known
    }

    #[must_use]
    pub fn batch(&self) -> BatchLimits {
        BatchLimits {
            batches: self.batches,
            lines: self.batch_lines,
            line_bytes: self.batch_line_bytes,
            idle: s(self.batch_idle_s),
        }
    }

    /// How many may listen or wait at once, and how many questions about the past are answered at once.
    #[must_use]
    pub fn room(&self) -> (usize, usize) {
        (self.listeners, self.past_at_once)
    }

    #[must_use]
    pub fn min_position_wait(&self) -> Duration {
        ms(self.min_position_wait_ms)
    }

    #[must_use]
    pub fn prices(&self) -> PriceLimits {
        PriceLimits { answer: s(self.price_look_s), together: self.price_batch }
    }

    /// Until whoever watches Postgres and the price list must be answered.
    #[must_use]
    pub fn watch_answer(&self) -> Duration {
        s(self.watch_answer_s)
    }

    /// How long queries stay with an old generation of a read model.
    #[must_use]
    pub fn switch(&self) -> Duration {
        s(self.generation_switch_s)
    }

    #[must_use]
    pub fn transact(&self) -> TransactLimits {
        TransactLimits {
            cache_bytes: self.state_cache_bytes,
            stream_queue: self.stream_queue,
            queue: self.decider_queue,
            chain: self.chain,
            conflicts: self.conflicts,
            snapshot_events: self.snapshot_events,
            snapshot_bytes: self.snapshot_bytes,
            snapshot_queue: self.snapshot_queue,
        }
    }

    /// Those of a log, with what else it is opened with.
    #[must_use]
    pub fn log(&self, settings: LogSettings) -> LogSettings {
        LogSettings {
            queue: self.lane_queue,
            few: self.lane_few,
            batch: self.append_batch,
            batch_bytes: self.append_batch_bytes,
            event_bytes: self.event_bytes,
            call_timeout: s(self.call_timeout_s),
            patience: s(self.append_wait_s),
            retry_first: ms(self.lane_retry_first_ms),
            retry_most: ms(self.lane_retry_most_ms),
            lock_wait: s(self.append_lock_s),
            turns: TurnLimits {
                most: self.turns,
                length: ms(self.turn_ms),
                wait: ms(self.turn_wait_ms),
            },
            ..settings
        }
    }

    #[must_use]
    pub fn database(&self) -> DatabaseLimits {
        DatabaseLimits {
            session: s(self.session_s),
            connect: s(self.session_connect_s),
            pool_wait: s(self.pool_wait_s),
            idle: s(self.pool_idle_s),
            answer: s(self.pool_answer_s),
            lock_answer: s(self.lock_answer_s),
            lease: s(self.lock_lease_s),
        }
    }

    /// Those of a relay, with what else it is run with.
    #[must_use]
    pub fn relay(&self, settings: RelaySettings) -> RelaySettings {
        RelaySettings {
            window: self.relay_window.into(),
            page: self.relay_page.into(),
            alone_rest: ms(self.relay_alone_ms),
            poll: ms(self.relay_poll_ms),
            stall: s(self.relay_stall_s),
            limits: self.kafka(),
            ..settings
        }
    }

    #[must_use]
    pub fn kafka(&self) -> KafkaLimits {
        KafkaLimits {
            retry_first: ms(self.kafka_retry_first_ms),
            retry_most: ms(self.kafka_retry_most_ms),
            retry_refused: s(self.kafka_retry_refused_s),
            lock_pause: ms(self.relay_lock_ms),
            queue_bytes: self.relay_queue_bytes,
            batch_bytes: self.relay_batch_bytes,
            answer: s(self.kafka_answer_s),
            start: s(self.relay_start_s),
            drain: ms(self.relay_drain_ms),
            session: ms(self.kafka_session_ms),
            join: s(self.kafka_join_s),
        }
    }

    #[must_use]
    pub fn follow(&self) -> FollowLimits {
        FollowLimits {
            parked: self.parked,
            call_timeout: s(self.follow_timeout_s),
            batch: self.follow_batch,
            parked_batch: self.parked_batch.into(),
            parked_lock: ms(self.parked_lock_ms),
            retry_first: ms(self.follow_retry_first_ms),
            retry_most: ms(self.follow_retry_most_ms),
            shortcut: true,
            buffer: self.feed_buffer,
            take: self.feed_take,
            kafka_wait: ms(self.follow_kafka_wait_ms),
            lock_pause: ms(self.lock_retry_ms),
            spare: s(self.lock_spare_s),
            pace: Pace::default(),
        }
    }

    /// Those of the checkouts, with how long an order may take.
    #[must_use]
    pub fn checkout(&self, settings: checkout::Settings) -> checkout::Settings {
        let reactions = self.reactions_at_once;
        checkout::Settings { limits: self.requests(), reactions, ..settings }
    }

    #[must_use]
    pub fn pace(&self) -> PaceLimits {
        PaceLimits {
            crowd: self.pace_crowd,
            stand_back: ms(self.pace_stand_back_ms),
            far_behind: s(self.pace_far_behind_s),
            rest: ms(self.pace_rest_ms),
        }
    }

    #[must_use]
    pub fn requests(&self) -> DueLimits {
        DueLimits {
            concurrency: self.requests_at_once,
            lease: s(self.due_lease_s),
            retry_first: ms(self.due_retry_first_ms),
            retry_most: ms(self.due_retry_most_ms),
            poll: ms(self.due_poll_ms),
            away: ms(self.due_away_ms),
            look: ms(self.due_look_ms),
            states: self.due_states,
            pace: Pace::default(),
        }
    }

    #[must_use]
    pub fn calls(&self) -> DueLimits {
        DueLimits { concurrency: self.calls_at_once, ..self.requests() }
    }

    #[must_use]
    pub fn provider_timeouts(&self) -> Timeouts {
        Timeouts { connect: s(self.provider_connect_s), answer: s(self.provider_answer_s) }
    }

    #[must_use]
    pub fn breaker(&self) -> BreakerSettings {
        BreakerSettings {
            failures: self.provider_failures,
            first_pause: ms(self.provider_pause_first_ms),
            longest_pause: ms(self.provider_pause_most_ms),
        }
    }

    /// How often it is looked whether a file has changed.
    #[must_use]
    pub fn look(&self) -> Duration {
        ms(self.reload_look_ms)
    }

    #[must_use]
    pub fn peer(&self) -> PeerLimits {
        PeerLimits {
            connect: ms(self.peer_connect_ms),
            answer: ms(self.peer_answer_ms),
            deadline: ms(self.peer_deadline_ms),
            retry_first: ms(self.peer_retry_first_ms),
            retry_most: ms(self.peer_retry_most_ms),
            retries: self.peer_retries,
            retry_percent: self.peer_retry_percent,
            retry_floor: self.peer_retry_floor,
            idle: ms(self.peer_idle_ms),
            breaker: BreakerSettings {
                failures: self.peer_failures,
                first_pause: ms(self.peer_pause_first_ms),
                longest_pause: ms(self.peer_pause_most_ms),
            },
        }
    }
}

#[cfg(test)]
mod tests;
