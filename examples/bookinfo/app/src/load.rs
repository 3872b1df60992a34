//! The load client: workers send requests at a rate or as fast as answers come, one JSON line tells the outcome.
//!
//! A worker owns one connection. An idle connection the server has closed is replaced silently, because nothing of
//! the next request was sent on it; anything that breaks after a request was sent counts as failed.

mod outcome;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use url::Url;

use outcome::Outcome;

const MAX_REPLY: usize = 16 << 20;

/// As much of a body as a reader of one JSON line can want.
const SHOWN: usize = 64 << 10;

#[derive(clap::Args)]
pub(crate) struct LoadArgs {
    #[arg(long)]
    url: Url,
    /// How many requests to send in all [default: 1, or until --seconds are over]
    #[arg(long)]
    count: Option<u64>,
    /// How long to send
    #[arg(long)]
    seconds: Option<f64>,
    /// Requests per second in all; without it each worker sends the next when the last is answered
    #[arg(long)]
    rate: Option<f64>,
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    concurrency: u16,
    #[arg(long, default_value = "GET")]
    method: Method,
    /// A header line, NAME:VALUE; may be repeated
    #[arg(long = "header", value_parser = header)]
    headers: Vec<(String, String)>,
    /// A request body
    #[arg(long)]
    body: Option<String>,
    /// A connection per request
    #[arg(long)]
    new_connections: bool,
    /// Adds the last answer's body to the outcome, at most 64 KiB of it
    #[arg(long)]
    show_body: bool,
    /// How long one request may take
    #[arg(long, default_value_t = 15.0)]
    timeout: f64,
}

fn header(line: &str) -> Result<(String, String), String> {
    let (name, value) = line.split_once(':').ok_or("expected NAME:VALUE")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

struct Plan {
    request: Request<Full<Bytes>>,
    address: String,
    begin: Instant,
    until: Option<Instant>,
    count: u64,
    /// The time between two requests, over all workers.
    interval: Option<Duration>,
    new_connections: bool,
    timeout: Duration,
    show_body: bool,
    next: AtomicU64,
}

pub(crate) async fn run(args: LoadArgs) -> anyhow::Result<()> {
    let workers = args.concurrency;
    let plan = Arc::new(plan(args)?);
    let tasks: Vec<_> = (0..workers).map(|_| tokio::spawn(work(Arc::clone(&plan)))).collect();
    let mut outcome = Outcome::default();
    for task in tasks {
        outcome.merge(task.await?);
    }
    outcome.seconds = plan.begin.elapsed().as_secs_f64();
    #[allow(clippy::print_stdout)] // the result is what standard output is for
    {
        println!("{}", outcome.to_json());
    }
    Ok(())
}

fn plan(args: LoadArgs) -> anyhow::Result<Plan> {
    anyhow::ensure!(args.url.scheme() == "http", "{}: only http URLs", args.url);
    let host = args.url.host_str().context("the URL names no host")?;
    let address = format!("{host}:{}", args.url.port_or_known_default().unwrap_or(80));
    let mut request = Request::builder().method(args.method).uri(&args.url[url::Position::BeforePath..]);
    if !args.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        let port = args.url.port().map(|p| format!(":{p}")).unwrap_or_default();
        request = request.header("host", format!("{host}{port}"));
    }
    for (name, value) in &args.headers {
        request = request.header(name, value);
    }
    let begin = Instant::now();
    let seconds = args.seconds.map(Duration::try_from_secs_f64).transpose().context("--seconds")?;
    Ok(Plan {
        request: request.body(Full::new(args.body.unwrap_or_default().into()))?,
        address,
        begin,
        until: seconds.map(|s| begin + s),
        count: args.count.unwrap_or_else(|| if seconds.is_some() { u64::MAX } else { 1 }),
        interval: args.rate.map(|r| Duration::try_from_secs_f64(1.0 / r)).transpose().context("--rate")?,
        new_connections: args.new_connections,
        timeout: Duration::try_from_secs_f64(args.timeout).context("--timeout")?,
        show_body: args.show_body,
        next: AtomicU64::new(0),
    })
}

impl Plan {
    /// Waits for the next request's turn; `None` when all are sent.
    async fn turn(&self) -> Option<()> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        if number >= self.count {
            return None;
        }
        if let Some(interval) = self.interval {
            let offset = Duration::try_from_secs_f64(interval.as_secs_f64() * number as f64).ok()?;
            let at = self.begin + offset;
            if self.until.is_some_and(|until| at >= until) {
                return None;
            }
            tokio::time::sleep_until(at.into()).await;
        }
        self.until.is_none_or(|until| Instant::now() < until).then_some(())
    }
}

async fn work(plan: Arc<Plan>) -> Outcome {
    let mut outcome = Outcome::default();
    let mut connection = None;
    while plan.turn().await.is_some() {
        let begin = Instant::now();
        let attempt = tokio::time::timeout(plan.timeout, one(&plan, connection.take())).await;
        match attempt {
            Ok(Ok((status, body, reusable))) => {
                outcome.answered(status, &body, begin.elapsed());
                if plan.show_body {
                    outcome.last_body =
                        Some(String::from_utf8_lossy(&body[..body.len().min(SHOWN)]).into_owned());
                }
                connection = Some(reusable).filter(|_| !plan.new_connections);
            }
            Ok(Err(e)) => outcome.failed(format!("{e:#}")),
            Err(_) => outcome.failed(format!("no answer within {:?}", plan.timeout)),
        }
    }
    outcome
}

type Connection = SendRequest<Full<Bytes>>;

async fn one(plan: &Plan, kept: Option<Connection>) -> anyhow::Result<(StatusCode, Bytes, Connection)> {
    let mut connection = match usable(kept).await {
        Some(kept) => kept,
        None => connect(&plan.address).await?,
    };
    let reply = match connection.try_send_request(plan.request.clone()).await {
        Ok(reply) => reply,
        // The request comes back only if the connection closed before any of it was sent.
        Err(mut e) => match e.take_message() {
            Some(request) => {
                connection = connect(&plan.address).await?;
                connection.send_request(request).await?
            }
            None => return Err(e.into_error().into()),
        },
    };
    let status = reply.status();
    let body = Limited::new(reply.into_body(), MAX_REPLY).collect().await.map_err(|e| anyhow::anyhow!(e))?;
    Ok((status, body.to_bytes(), connection))
}

async fn usable(kept: Option<Connection>) -> Option<Connection> {
    let mut kept = kept?;
    kept.ready().await.ok().map(|()| kept)
}

async fn connect(address: &str) -> anyhow::Result<Connection> {
    let stream = TcpStream::connect(address).await.context("connect")?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

#[cfg(test)]
mod tests;
