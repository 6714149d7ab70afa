use crate::access::{self, Access, Permission};
use axum::{
    Router,
    handler::Handler,
    middleware,
    routing::{MethodFilter, MethodRouter, on},
};
use http::Method;

/// The table of a part's routes. Nothing is routed that does not stand in one, and a route cannot be written down
/// without saying who may take it.
#[derive(Clone)]
pub struct Routes<S> {
    rows: Vec<(Row, MethodRouter<S>)>,
}

/// One route, as tests, documents and the guard read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub method: Method,
    /// With its parameters in braces: `/v1/orders/{id}`.
    pub path: &'static str,
    pub permission: Permission,
}

impl Row {
    /// `GET /v1/orders/{id}`
    #[must_use]
    pub fn name(&self) -> String {
        name(&self.method, self.path)
    }
}

pub(crate) fn name(method: &Method, path: &str) -> String {
    format!("{method} {path}")
}

impl<S: Clone + Send + Sync + 'static> Default for Routes<S> {
    fn default() -> Self {
        Routes { rows: Vec::new() }
    }
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// `HEAD` is answered too, without the body.
    #[must_use]
    pub fn get<H, T>(self, path: &'static str, permission: Permission, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        self.row(Method::GET, path, permission, on(MethodFilter::GET, handler))
    }

    #[must_use]
    pub fn post<H, T>(self, path: &'static str, permission: Permission, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        self.row(Method::POST, path, permission, on(MethodFilter::POST, handler))
    }

    fn row(
        mut self,
        method: Method,
        path: &'static str,
        permission: Permission,
        endpoint: MethodRouter<S>,
    ) -> Self {
        self.rows.push((Row { method, path, permission }, endpoint));
        self
    }

    /// What stands in the table, in its order.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().map(|(row, _)| row)
    }

    /// The same with only some of its rows: of a process that has not every part.
    #[must_use]
    pub fn keeping(mut self, keeps: impl Fn(&Row) -> bool) -> Self {
        self.rows.retain(|(row, _)| keeps(row));
        self
    }

    /// The finished router, in which a guard stands before every endpoint, unless the access is off.
    pub fn router(self, state: S, access: &Access) -> Router {
        let routed = self.rows.into_iter().fold(Router::new(), |router, (row, endpoint)| {
            let endpoint = if access.is_off() {
                endpoint
            } else {
                let guard = access.guard(row.permission);
                endpoint.route_layer(middleware::from_fn_with_state(guard, access::guard::pass))
            };
            router.route(row.path, endpoint)
        });
        routed.with_state(state)
    }
}
