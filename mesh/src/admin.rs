//! The admin server: a table of paths over HTTP/1.1, for operators and Istio's tools.
//!
//! Not a data path, and not hardened as one: it listens on loopback or a pod-internal port, one small request at a time.
//! Invariant: a handler runs only for the method it was registered for; everything a client sends is bounded.

mod request;
mod serve;
mod standard;

pub use request::{AdminRequest, AdminResponse, json, text};
pub use serve::BoundAdmin;

use futures::future::BoxFuture;
use http::Method;
use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;

type Handler = Arc<dyn Fn(AdminRequest) -> BoxFuture<'static, AdminResponse> + Send + Sync>;

/// A table of handlers, by path. Cheap to clone: several servers may share one table.
#[derive(Clone, Default)]
pub struct Admin {
    routes: BTreeMap<String, Vec<(Method, Handler)>>,
}

impl Admin {
    /// No handlers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a handler for GET, and for HEAD.
    #[must_use]
    pub fn get<F, R>(self, path: &str, handler: F) -> Self
    where
        F: Fn(AdminRequest) -> R + Send + Sync + 'static,
        R: Future<Output = AdminResponse> + Send + 'static,
    {
        self.route(Method::GET, path, handler)
    }

    /// Adds a handler for POST.
    #[must_use]
    pub fn post<F, R>(self, path: &str, handler: F) -> Self
    where
        F: Fn(AdminRequest) -> R + Send + Sync + 'static,
        R: Future<Output = AdminResponse> + Send + 'static,
    {
        self.route(Method::POST, path, handler)
    }

    /// Takes the port.
    pub async fn bind(self, address: SocketAddr) -> io::Result<BoundAdmin> {
        BoundAdmin::new(self, TcpListener::bind(address).await?)
    }

    fn route<F, R>(mut self, method: Method, path: &str, handler: F) -> Self
    where
        F: Fn(AdminRequest) -> R + Send + Sync + 'static,
        R: Future<Output = AdminResponse> + Send + 'static,
    {
        let handler: Handler = Arc::new(move |request| Box::pin(handler(request)));
        let handlers = self.routes.entry(path.to_owned()).or_default();
        handlers.retain(|(known, _)| *known != method);
        handlers.push((method, handler));
        self
    }

    /// The handler, or what to answer without one.
    fn find(&self, method: &Method, path: &str) -> Result<Handler, AdminResponse> {
        let Some(handlers) = self.routes.get(path) else {
            return Err(request::not_found(self.routes.keys()));
        };
        let wanted = if method == Method::HEAD { &Method::GET } else { method };
        match handlers.iter().find(|(known, _)| known == wanted) {
            Some((_, handler)) => Ok(Arc::clone(handler)),
            None => Err(request::method_not_allowed(handlers.iter().map(|(known, _)| known))),
        }
    }
}

#[cfg(test)]
mod tests;
