//! The external authorization filter: ask, wait, enforce. What to ask and what an answer means is decided by the core.

use super::filters::unless_gone;
use super::request::Request;
use super::{Exchange, Refusal, record};
use crate::proxy::authz;
use crate::proxy::http::framing;
use crate::proxy::http::session::Session;
use http::{HeaderValue, Version};
use waypoint_core::failure::Failure;
use waypoint_core::model::ext_authz::{BufferSettings, ExtAuthz, ExtAuthzPerRoute};
use waypoint_core::model::metadata::MetadataValue;
use waypoint_core::policy::ext_authz::{
    self, Allowed, Answer, CheckBody, Enabled, FAILURE_ALLOWED, HttpCheck, Verdict,
};

const FILTER: &str = "envoy.filters.http.ext_authz";

/// What was read of the body for the service.
struct Looked {
    bytes: Vec<u8>,
    partial: bool,
    pack_as_bytes: bool,
}

impl Exchange<'_> {
    pub(super) async fn authorize<S: Session>(
        &mut self,
        config: &ExtAuthz,
        request: &mut Request,
        session: &mut S,
    ) -> Result<(), Refusal> {
        let enabled = ext_authz::enabled(config, &self.record.metadata, &mut self.dice);
        if enabled == Enabled::Skip {
            return Ok(());
        }
        // Without a route the answer is 404, and there is nothing to guard.
        let Some(route) = self.route().map(|route| route.ext_authz.clone()) else { return Ok(()) };
        if route.as_deref() == Some(&ExtAuthzPerRoute::Disabled) {
            return Ok(());
        }
        if enabled == Enabled::Deny {
            return Err(Failure::authz_error(config.status_on_error).into());
        }
        let body = match ext_authz::wanted_body(config, route.as_deref()) {
            Some(settings) if self.has_body && request.upgrade.is_none() => {
                Some(self.look(settings, request, session).await?)
            }
            _ => None,
        };
        let verdict = self.ask(config, route.as_deref(), (request, body.as_ref()), session).await?;
        self.enforce(config, verdict, request)
    }

    async fn look<S: Session>(
        &mut self,
        settings: BufferSettings,
        request: &mut Request,
        session: &mut S,
    ) -> Result<Looked, Refusal> {
        let BufferSettings { max_bytes, allow_partial, pack_as_bytes } = settings;
        // One byte more than fits shows that there is more.
        let enough = if allow_partial { max_bytes } else { max_bytes + 1 };
        let chain = self.chain.clone();
        self.early.read(session, request, &chain, enough).await?;
        let (bytes, partial) = self.early.first(max_bytes, allow_partial)?;
        Ok(Looked { bytes, partial, pack_as_bytes })
    }

    /// Asks; a client that leaves meanwhile ends it.
    async fn ask<S: Session>(
        &mut self,
        config: &ExtAuthz,
        route: Option<&ExtAuthzPerRoute>,
        (request, body): (&Request, Option<&Looked>),
        session: &mut S,
    ) -> Result<Verdict, Refusal> {
        let mut check = authz::describe(self.connection, &self.record.metadata);
        if let Some(ExtAuthzPerRoute::Settings { context, .. }) = route {
            check.context = context;
        }
        check.start = self.record.start;
        check.request = Some(HttpCheck {
            view: request.view(self.connection.tunnel.view(&self.record.metadata)),
            protocol: protocol(request.version),
            size: if self.has_body { framing::content_length(&request.headers) } else { Some(0) },
            body: body.map(|body| CheckBody {
                bytes: &body.bytes,
                partial: body.partial,
                pack_as_bytes: body.pack_as_bytes,
            }),
        });
        let context = record::Context { snapshot: &self.snapshot, connection: self.connection };
        let call = authz::prepare(config, &check, &mut |format, _| self.record.render(&context, format));
        let asking = authz::ask(self.connection, &self.snapshot, config, call);
        unless_gone(self.has_whole_body(), session, asking).await
    }

    fn enforce(&mut self, config: &ExtAuthz, verdict: Verdict, request: &mut Request) -> Result<(), Refusal> {
        match verdict {
            Verdict::Allowed(allowed) => {
                self.allow(config, *allowed, request);
                Ok(())
            }
            Verdict::Denied(answer) => {
                let status = answer.status.unwrap_or(http::StatusCode::FORBIDDEN);
                Err(self.refuse(config, Failure::authz_denied(status), answer))
            }
            Verdict::Error(_) if config.failure_mode_allow => {
                if config.failure_mode_allow_header_add {
                    request.headers.append(FAILURE_ALLOWED, HeaderValue::from_static("true"));
                }
                Ok(())
            }
            Verdict::Error(None) => Err(Failure::authz_error(config.status_on_error).into()),
            Verdict::Error(Some(answer)) => {
                let status = answer.status.unwrap_or(config.status_on_error);
                Err(self.refuse(config, Failure::authz_error(status), answer))
            }
            Verdict::Invalid => Err(Failure::authz_invalid().into()),
        }
    }

    fn allow(&mut self, config: &ExtAuthz, allowed: Allowed, request: &mut Request) {
        let changed = allowed.changes_request();
        if changed {
            allowed.apply(&mut request.headers);
            if allowed.query != ext_authz::QueryChanges::default() {
                request.path = ext_authz::edit_query(&request.path, &allowed.query);
            }
            self.record.request_headers = request.headers.clone();
        }
        self.learn(config, allowed.metadata);
        if changed && config.clear_route_cache {
            self.pick(request);
        }
        self.response_changes.extend(allowed.response);
    }

    fn refuse(&mut self, config: &ExtAuthz, failure: Failure, mut answer: Answer) -> Refusal {
        self.learn(config, answer.metadata.take());
        if config.max_denied_body_bytes > 0 {
            answer.body.truncate(config.max_denied_body_bytes);
        }
        Refusal::Denied(Box::new((failure, answer)))
    }

    /// What the service told for later filters, routes and logs.
    fn learn(&mut self, config: &ExtAuthz, metadata: Option<MetadataValue>) {
        if let Some(MetadataValue::Struct(fields)) = metadata.filter(|_| config.ingest_metadata) {
            self.record.metadata.merge(FILTER, fields);
        }
    }
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_10 => "HTTP/1.0",
        _ => "HTTP/1.1",
    }
}
