//! Startup, readiness and liveness probes, as kubelet asks them: from the node, with the source address that captured pods
//! let pass uncaptured.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Empty;
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use socket2::{Domain, Socket, Type};
use tokio::net::{TcpSocket, TcpStream};

use super::exec::exit_code;
use super::sandbox::Room;
use super::spec::{Probe, ProbeAction};
use crate::limits::PROBE_RESPONSE_MAX;
use crate::node::netns::NetNs;
use crate::node::network::PROBE_SOURCE;

/// Whom to ask, and from where.
#[derive(Clone, Debug)]
pub struct Target {
    pub node: Arc<NetNs>,
    pub address: Ipv4Addr,
    pub room: Arc<Room>,
}

/// Asks once; the error says what was wrong.
pub async fn ask(probe: &Probe, target: &Target) -> Result<(), String> {
    let asked = async {
        match &probe.action {
            ProbeAction::HttpGet { host, port, path, headers } => {
                http_get(target, (host.as_deref(), *port), path, headers).await
            }
            ProbeAction::Tcp { host, port } => {
                connect(target, host.as_deref(), *port).await.map(drop).map_err(text)
            }
            ProbeAction::Exec(argv) => exec(target, argv).await,
        }
    };
    match tokio::time::timeout(probe.timeout, asked).await {
        Ok(result) => result,
        Err(_) => Err(format!("no answer within {:?}", probe.timeout)),
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

async fn connect(target: &Target, host: Option<&str>, port: u16) -> io::Result<TcpStream> {
    let address = match host {
        None => target.address,
        Some(host) => host.parse().map_err(|_| {
            io::Error::new(io::ErrorKind::InvalidInput, format!("probe host {host:?} is not an IPv4 address"))
        })?,
    };
    let socket = target.node.run(|| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        // Without it the address would take a port now, apart for each probe, and run out of them.
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddrV4::new(PROBE_SOURCE, 0).into())?;
        io::Result::Ok(socket)
    })??;
    TcpSocket::from_std_stream(socket.into()).connect(SocketAddr::from((address, port))).await
}

async fn http_get(
    target: &Target,
    (host, port): (Option<&str>, u16),
    path: &str,
    headers: &[(String, String)],
) -> Result<(), String> {
    let stream = connect(target, host, port).await.map_err(text)?;
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(PROBE_RESPONSE_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(text)?;
    let driver = tokio::spawn(connection);
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let mut request =
        Request::get(path).header("user-agent", "kube-probe/fairway").header("connection", "close");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        request = request.header(
            "host",
            format!("{}:{port}", host.map_or_else(|| target.address.to_string(), Into::into)),
        );
    }
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.body(Empty::<bytes::Bytes>::new()).map_err(text)?;
    let answered = sender.send_request(request).await;
    driver.abort();
    let status = answered.map_err(text)?.status();
    if (200..400).contains(&status.as_u16()) { Ok(()) } else { Err(format!("HTTP status {status}")) }
}

async fn exec(target: &Target, argv: &[String]) -> Result<(), String> {
    let (program, args) = argv.split_first().ok_or("no command given")?;
    let mut command = target.room.command(program, args, &[], None).map_err(text)?;
    command.stdin(std::process::Stdio::null());
    let output = command.output().await.map_err(|e| format!("{program}: {e}"))?;
    match exit_code(output.status) {
        0 => Ok(()),
        code => {
            Err(format!("{program} ended with {code}: {}", String::from_utf8_lossy(&output.stderr).trim()))
        }
    }
}

/// Counts answers in a row against a probe's thresholds.
#[derive(Debug, Default)]
pub struct Tally {
    good: u32,
    bad: u32,
}

impl Tally {
    /// The verdict, once enough answers in a row agree.
    pub fn count(&mut self, probe: &Probe, ok: bool) -> Option<bool> {
        if ok {
            (self.good, self.bad) = (self.good.saturating_add(1), 0);
        } else {
            (self.good, self.bad) = (0, self.bad.saturating_add(1));
        }
        if self.good >= probe.success_threshold.max(1) {
            Some(true)
        } else if self.bad >= probe.failure_threshold.max(1) {
            Some(false)
        } else {
            None
        }
    }
}

/// How long to wait before the next question: not longer than `eager` while the answer still matters to someone waiting.
#[must_use]
pub fn pause(probe: &Probe, settled: bool, eager: Duration) -> Duration {
    let period = probe.period.max(Duration::from_millis(100));
    if settled { period } else { period.min(eager) }
}

#[cfg(test)]
mod tests;
