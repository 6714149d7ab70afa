use axum::body::{Body, Bytes};
use bytes::BytesMut;
use edge::Problem;
use http::StatusCode;
use http_body_util::BodyExt;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// The lines of a request's body, as they come. No more of it is held than one line and what came with its end.
pub(super) struct Lines {
    body: Body,
    read: BytesMut,
    /// In so many of the bytes that were read there is no end of a line.
    searched: usize,
    number: u64,
    most: usize,
    idle: Duration,
    /// The line is too long, and was answered: the rest of it is passed over.
    passing: bool,
    came: Came,
}

#[derive(PartialEq)]
enum Came {
    Some,
    /// Up to the end.
    All,
    /// Nothing more is read.
    Over,
}

pub(super) fn register_metrics() {
    metrics::counter!("daybook_batch_lines_too_long_total").increment(0);
    metrics::counter!("daybook_batches_idle_total").increment(0);
}

impl Lines {
    pub(super) fn new(body: Body, most: usize, idle: Duration) -> Self {
        let read = BytesMut::new();
        let came = Came::Some;
        Lines { body, read, searched: 0, number: 0, most, idle, passing: false, came }
    }

    /// The next line that is not blank, with its number from 1; or what is wrong with it.
    pub(super) async fn next(&mut self) -> Option<(u64, Result<Bytes, Problem>)> {
        let until = Instant::now() + self.idle;
        while self.came != Came::Over {
            if let Some(line) = self.whole_line() {
                self.number += 1;
                if std::mem::take(&mut self.passing) || line.trim_ascii().is_empty() {
                    continue;
                }
                let fits = line.len() <= self.most;
                let line = if fits { Ok(line.freeze()) } else { Err(self.too_long()) };
                return Some((self.number, line));
            }
            if self.read.len() > self.most {
                self.read.clear();
                self.searched = 0;
                if !std::mem::replace(&mut self.passing, true) {
                    return Some((self.number + 1, Err(self.too_long())));
                }
            }
            if self.came == Came::All {
                self.came = Came::Over;
                return None;
            }
            if let Err(problem) = self.read_on(until).await {
                self.came = Came::Over;
                return Some((self.number + 1, Err(problem)));
            }
        }
        None
    }

    /// A line of what was read, without its end. The last one may have none.
    fn whole_line(&mut self) -> Option<BytesMut> {
        let end = self.read[self.searched..].iter().position(|byte| *byte == b'\n');
        if let Some(end) = end {
            let mut line = self.read.split_to(self.searched + end + 1);
            line.truncate(line.len() - 1);
            self.searched = 0;
            return Some(line);
        }
        self.searched = self.read.len();
        let last = self.came == Came::All && !self.read.is_empty();
        last.then(|| {
            self.searched = 0;
            self.read.split()
        })
    }

    async fn read_on(&mut self, until: Instant) -> Result<(), Problem> {
        match timeout_at(until, self.body.frame()).await {
            Ok(Some(Ok(frame))) => {
                if let Ok(data) = frame.into_data() {
                    self.read.extend_from_slice(&data);
                }
                Ok(())
            }
            Ok(None) => {
                self.came = Came::All;
                Ok(())
            }
            Ok(Some(Err(error))) => {
                Err(Problem::bad_request("incomplete-body", "The body broke off.").caused_by(error))
            }
            Err(_) => {
                metrics::counter!("daybook_batches_idle_total").increment(1);
                let detail = "No line came for too long; this one, if it was begun, was not done.";
                Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "request-timeout").detail(detail))
            }
        }
    }

    fn too_long(&self) -> Problem {
        metrics::counter!("daybook_batch_lines_too_long_total").increment(1);
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large")
            .detail(format!("A line has at most {} bytes.", self.most))
    }
}

#[cfg(test)]
mod tests {
    use super::Lines;
    use axum::body::{Body, Bytes};
    use futures_util::{StreamExt, stream};
    use std::convert::Infallible;
    use std::time::Duration;

    async fn lines(mut lines: Lines) -> Vec<(u64, Result<String, u16>)> {
        let mut all = Vec::new();
        while let Some((number, line)) = lines.next().await {
            let text = |line: Bytes| String::from_utf8(line.to_vec()).unwrap();
            all.push((number, line.map(text).map_err(|problem| problem.status().as_u16())));
        }
        all
    }

    #[tokio::test]
    async fn lines_are_the_same_however_the_bytes_come() {
        let text = "one\n\n  \ntwo\r\na line that is too long\nthree\nthe last one is so too";
        let all = [
            (1, Ok("one".to_owned())),
            (4, Ok("two\r".to_owned())),
            (5, Err(413)),
            (6, Ok("three".to_owned())),
            (7, Err(413)),
        ];
        for size in 1..=text.len() {
            let chunks: Vec<_> = text.as_bytes().chunks(size).map(Bytes::copy_from_slice).collect();
            let body = Body::from_stream(stream::iter(chunks).map(Ok::<_, Infallible>));
            let lines = lines(Lines::new(body, 5, Duration::from_secs(60))).await;
            assert_eq!(lines, all, "in pieces of {size}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_sends_nothing_more_is_waited_for_so_long() {
        let some = stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"one\ntwo"))]);
        let body = Body::from_stream(some.chain(stream::pending()));
        let lines = lines(Lines::new(body, 100, Duration::from_secs(60))).await;
        assert_eq!(lines, [(1, Ok("one".to_owned())), (2, Err(408))]);
    }

    /// Blank lines are none.
    #[tokio::test(start_paused = true)]
    async fn who_sends_a_byte_now_and_then_is_waited_for_no_longer_than_who_sends_none() {
        for byte in ["x", "\n"] {
            let some = stream::unfold((), move |()| async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                Some((Ok::<_, Infallible>(Bytes::from_static(byte.as_bytes())), ()))
            });
            let began = tokio::time::Instant::now();
            let lines = lines(Lines::new(Body::from_stream(some), 1_000, Duration::from_secs(60)));
            let refused: Vec<_> = lines.await.into_iter().map(|(_, line)| line).collect();
            assert_eq!(refused, [Err(408)]);
            assert!(began.elapsed() <= Duration::from_secs(61), "{:?}", began.elapsed());
        }
    }
}
