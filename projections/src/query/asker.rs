use super::{AsOf, Filters, Queries, Seen, View, away, failed};
use crate::log::has_lost;
use crate::{Layout, Place, Projection};
use axum::extract::FromRequestParts;
use axum::response::Response;
use deadpool_postgres::Object;
use decider::Owes;
use edge::Problem;
use edge::access::Stay;
use edge::conditional::{MIN_POSITION, min_positions};
use event_store::Position;
use event_store::dues::DueFollower;
use event_store::follow::{ReadSide, Runner, standing};
use http::request::Parts;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use std::ops::Deref;
use std::time::Duration;
use tokio::time::{Instant, timeout};
use tokio_postgres::Row;

/// Whoever asks, with the positions of what he has written: he is never shown anything older.
pub(crate) struct Asker {
    queries: Queries,
    min: Vec<Position>,
    /// Where he was told last, if he wants to be told of events as they come.
    events: Option<Option<Seen>>,
    /// How long he would wait for what he asks for to be settled.
    patience: Option<Duration>,
    /// How long what he showed is good; none where nobody is asked.
    stay: Option<Stay>,
    /// Who he is, as far as is known.
    known: Extensions,
}

/// Nobody waits longer than this: the request would be given up before.
const PATIENCE: u64 = 20;
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const PREFER: HeaderName = HeaderName::from_static("prefer");

/// How often it is looked how far a follower of another process is.
const LOOK_EVERY: Duration = Duration::from_millis(25);

impl Asker {
    /// A place for one who listens or waits, if there is one for him.
    pub(crate) fn listens(&self) -> Option<edge::Place> {
        self.listeners().take(&self.known)
    }
}

impl Deref for Asker {
    type Target = Queries;

    fn deref(&self) -> &Queries {
        &self.queries
    }
}

impl FromRequestParts<Queries> for Asker {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, queries: &Queries) -> Result<Self, Problem> {
        let headers = &parts.headers;
        let (min, events) = (min_positions(headers)?, events(headers)?);
        let (patience, stay) = (patience(headers), parts.extensions.get().cloned());
        let known = parts.extensions.clone();
        Ok(Asker { queries: queries.clone(), min, events, patience, stay, known })
    }
}

/// Of server-sent events: the last one that was seen.
fn events(headers: &HeaderMap) -> Result<Option<Option<Seen>>, Problem> {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let wanted = |accept: &str| {
        let mut kinds = accept.split(',').map(|kind| kind.split(';').next().unwrap_or_default());
        kinds.any(|kind| kind.trim().eq_ignore_ascii_case("text/event-stream"))
    };
    if !accept.is_some_and(wanted) {
        return Ok(None);
    }
    let Some(last) = headers.get(LAST_EVENT_ID) else { return Ok(Some(None)) };
    let last = last.to_str().ok().and_then(Seen::read);
    let unknown = || {
        Problem::bad_request("invalid-last-event-id", "Last-Event-ID is an id that an event had.")
    };
    Ok(Some(Some(last.ok_or_else(unknown)?)))
}

/// `Prefer: wait=10` of RFC 7240; what cannot be understood is no preference.
fn patience(headers: &HeaderMap) -> Option<Duration> {
    let preferences = headers.get_all(PREFER).iter().filter_map(|it| it.to_str().ok());
    let mut preferences = preferences.flat_map(|it| it.split([',', ';']));
    let seconds = preferences.find_map(|it| {
        let (name, value) = it.split_once('=')?;
        let wait = name.trim().eq_ignore_ascii_case("wait");
        wait.then(|| value.trim().trim_matches('"').parse::<u64>().ok()).flatten()
    })?;
    Some(Duration::from_secs(seconds.min(PATIENCE)))
}

impl Asker {
    /// Where the caller was told last, if he wants to be told of events as they come.
    pub(crate) fn events(&self) -> Option<Option<Seen>> {
        self.events
    }

    /// How long he would wait for what he asks for to be settled.
    pub(crate) fn patience(&self) -> Option<Duration> {
        self.patience
    }

    /// How long what he showed is good; none where nobody is asked.
    pub(crate) fn stay(&self) -> Option<Stay> {
        self.stay.clone()
    }

    /// Waits for as long as what he showed is good; who may not know any more is not told.
    ///
    /// # Errors
    /// 401, when it is not good any more.
    pub(crate) async fn staying<T>(&self, waiting: impl Future<Output = T>) -> Result<T, Problem> {
        let Some(mut stay) = self.stay() else { return Ok(waiting.await) };
        tokio::select! {
            biased;
            () = stay.ended() => Err(stay.refusal()),
            waited = waiting => Ok(waited),
        }
    }

    /// The same, who has seen this too.
    pub(crate) fn having_seen(mut self, position: Position) -> Self {
        self.min.push(position);
        self
    }

    /// The answer about one thing, from the row that a query finds: as it was, told by its streams, if that is asked
    /// for, and else as it is.
    pub(crate) async fn one(
        &self,
        projection: &dyn Projection,
        (streams, as_of): (&[(&str, String)], Option<AsOf>),
        (sql, filters): (&str, &Filters<'_>),
        answer: impl Fn(Option<&Row>) -> Result<Response, Problem>,
    ) -> Result<Response, Problem> {
        if let Some(as_of) = as_of {
            let then = self.then(projection, streams, as_of, (sql, filters)).await?;
            return Ok(then.told(answer(then.rows.first())?));
        }
        let view = self.view(projection.layout()).await?;
        answer(view.find(sql, filters).await?.as_ref())
    }

    /// The live rows of a projection, once they hold what the caller has written.
    pub(crate) async fn view(&self, layout: &Layout) -> Result<View, Problem> {
        self.posted((layout.name, layout.logs), || self.queries.place(layout)).await
    }

    /// The dues of a service, once they are those after what the caller has written.
    pub(crate) async fn dues<D: Owes>(&self, read: &ReadSide) -> Result<(), Problem> {
        let place = Place::new(read, DueFollower::<D>::GENERATION);
        let (name, logs) = (DueFollower::<D>::called(), [&*read.service]);
        self.posted((&name, &logs), || Ok((read, place.clone()))).await.map(drop)
    }

    /// Where a follower of some logs keeps its rows, once it has posted what the caller has written there.
    async fn posted<'a>(
        &self,
        (name, logs): (&str, &[&str]),
        place: impl Fn() -> Result<(&'a ReadSide, Place), Problem>,
    ) -> Result<View, Problem> {
        let followed = |min: &&Position| logs.contains(&&*min.service);
        let min: Vec<&Position> = self.min.iter().filter(followed).collect();
        for min in &min {
            if !self.log(&min.service).is_none_or(|log| log.is_of_newest_epoch(min)) {
                self.is_not_lost(min).await?;
            }
        }
        let deadline = Instant::now() + self.queries.0.min_position_wait;
        let runner = self.queries.0.runner.as_ref();
        let mut moved = runner.map(Runner::moved);
        loop {
            let (read, place) = place()?;
            let of_it = (name, place.generation);
            let here = |min: &Position| runner.and_then(|it| it.has_posted(of_it.0, of_it.1, min));
            // What the followers of this process say wakes, and decides nothing: a database that has ended since may
            // have lost what they posted.
            let mut awaited = min.iter().copied().filter(|min| here(min) == Some(false));
            let mut behind = awaited.next();
            if let Some(runner) = runner {
                behind.into_iter().chain(awaited).for_each(|it| runner.hurry(of_it.0, of_it.1, it));
            }
            if behind.is_none() {
                let client = read.pool.get().await.map_err(failed)?;
                behind = self.behind(&client, read, of_it, &min).await?;
                if behind.is_none() {
                    return Ok(View { client, place });
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if let Some(behind) = behind.filter(|_| left.is_zero()) {
                let is_lost = self.is_lost_elsewhere(behind).await;
                return Err(if is_lost { lost(behind) } else { late(name, behind) });
            }
            // Here it is told; elsewhere it is looked for, and a follower may come here meanwhile.
            let is_here = behind.is_some_and(|min| here(min) == Some(false));
            let pause = if is_here { 4 * LOOK_EVERY } else { LOOK_EVERY };
            let pause = pause.min(left);
            match &mut moved {
                Some(moved) => drop(timeout(pause, moved.changed()).await),
                None => tokio::time::sleep(pause).await,
            }
        }
    }

    /// The first position that the rows do not hold yet, by the word of the connection that is to read them.
    async fn behind<'a>(
        &self,
        client: &Object,
        read: &ReadSide,
        of_it: (&str, i32),
        min: &[&'a Position],
    ) -> Result<Option<&'a Position>, Problem> {
        for &min in min {
            let stands = standing(client, read, of_it, min).await.map_err(failed)?;
            let is_here = self.log(&min.service).is_some();
            if min.epoch < stands.epoch && (is_here || stands.has_passed) {
                self.is_not_lost(min).await?;
            }
            if stands.has_parked {
                let detail = format!(
                    "{} could not post {min}, which waits for somebody to mend that.",
                    of_it.0
                );
                return Err(Problem::unavailable("parked", 30).detail(detail));
            }
            if !stands.has_passed {
                return Ok(Some(min));
            }
        }
        Ok(None)
    }

    /// Whether logs that are read as they are still have everything that the caller has seen of them. An owner
    /// elsewhere who gives no answer has lost nothing, as far as anybody knows.
    pub(crate) async fn has_lost_nothing_of(&self, services: &[&str]) -> Result<(), Problem> {
        for min in self.min.iter().filter(|min| services.contains(&&*min.service)) {
            if self.log(&min.service).is_some() {
                self.is_not_lost(min).await?;
            } else if self.is_lost_elsewhere(min).await {
                return Err(lost(min));
            }
        }
        Ok(())
    }

    pub(crate) async fn is_not_lost(&self, min: &Position) -> Result<(), Problem> {
        if self.is_lost(min).await? { Err(lost(min)) } else { Ok(()) }
    }

    /// A log elsewhere is not looked at before: its owner is asked when waiting was in vain, and not for long.
    async fn is_lost_elsewhere(&self, min: &Position) -> bool {
        let asking = timeout(self.queries.0.min_position_wait, self.is_lost(min));
        self.log(&min.service).is_none() && matches!(asking.await, Ok(Ok(true)))
    }

    /// By the word of the log, or of its owner elsewhere.
    async fn is_lost(&self, min: &Position) -> Result<bool, Problem> {
        match (self.log(&min.service), self.owner(&min.service)) {
            (Some(log), _) => log.has_lost(min).await.map_err(failed),
            (None, Some(owner)) => has_lost(owner, min).await.map_err(away),
            (None, None) => Ok(false),
        }
    }
}

fn lost(min: &Position) -> Problem {
    let detail = format!("The log has lost {min}, with what was written there.");
    Problem::new(StatusCode::GONE, "lost-position").detail(detail)
}

fn late(follower: &str, min: &Position) -> Problem {
    let detail = format!("{follower} has not posted {min} yet.");
    let min = HeaderValue::try_from(min.to_string());
    let problem = Problem::unavailable("behind", 1).detail(detail);
    match min {
        Ok(min) => problem.header(MIN_POSITION, min),
        Err(_) => problem,
    }
}
