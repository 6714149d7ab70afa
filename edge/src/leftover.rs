//! What an endpoint left unread of a request's body is read here before the answer leaves. Whoever is
//! refused while still sending would otherwise find the line closed, and never see why.

use crate::Limits;
use axum::{
    body::{Body, HttpBody},
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use bytes::Bytes;
use http::header;
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Instant,
};

pub(crate) async fn read_leftover(
    State(limits): State<Limits>,
    request: Request,
    next: Next,
) -> Response {
    // Who waits to be asked for the body has not sent it, and asking would make him.
    if request.body().is_end_stream() || request.headers().contains_key(header::EXPECT) {
        return next.run(request).await;
    }
    let unread = Arc::<Unread>::default();
    let watched =
        |body| Body::new(Watched { body: Some(body), ended: false, unread: unread.clone() });
    let response = next.run(request.map(watched)).await;
    let left = unread.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(body) = left {
        // Whether all of it came changes nothing in the answer.
        let began = Instant::now();
        let discarding = discard(body, limits.leftover_bytes);
        let _ = tokio::time::timeout(limits.leftover_time, discarding).await;
        metrics::histogram!("http_leftover_seconds").record(began.elapsed());
    }
    response
}

async fn discard(mut body: Body, most: usize) {
    let mut bytes = 0;
    while let Some(Ok(frame)) = body.frame().await {
        bytes += frame.data_ref().map_or(0, Bytes::len);
        if bytes > most {
            return;
        }
    }
}

#[derive(Default)]
struct Unread(Mutex<Option<Body>>);

/// A request's body that comes back, if it is dropped before its end.
struct Watched {
    /// None only while it is dropped.
    body: Option<Body>,
    ended: bool,
    unread: Arc<Unread>,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = Pin::new(body).poll_frame(cx);
        self.ended |= matches!(frame, Poll::Ready(None | Some(Err(_))));
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let unread = self.body.take().filter(|body| !self.ended && !body.is_end_stream());
        if unread.is_some() {
            *self.unread.0.lock().unwrap_or_else(PoisonError::into_inner) = unread;
        }
    }
}
