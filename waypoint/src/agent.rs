//! What runbooks do with `pilot-agent` in the container: ask the proxy beside it. Plain blocking HTTP on loopback.

use crate::config::Ports;
use anyhow::{Context as _, bail};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

/// An answer must come within this; a config dump of a large mesh takes seconds.
const TIMEOUT: Duration = Duration::from_secs(30);

/// `request GET stats`: prints the body.
///
/// # Errors
/// When the proxy does not answer, or not with 200.
pub fn request(method: &str, path: &str) -> anyhow::Result<()> {
    let (status, body) = ask(Ports::default().admin, method, path)?;
    std::io::stdout().write_all(&body)?;
    if status == 200 { Ok(()) } else { bail!("{method} {path}: status {status}") }
}

/// `wait`: until the proxy is ready.
///
/// # Errors
/// When it is not in time.
pub fn wait(seconds: u64) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        match ask(Ports::default().health, "GET", "/healthz/ready") {
            Ok((200, _)) => return Ok(()),
            _ if Instant::now() >= deadline => bail!("the proxy was not ready within {seconds} s"),
            _ => std::thread::sleep(Duration::from_millis(500)),
        }
    }
}

/// # Errors
/// When stdout is gone.
pub fn print(text: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{text}")?;
    Ok(())
}

fn ask(port: u16, method: &str, path: &str) -> anyhow::Result<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).context("is the proxy running?")?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let path = path.trim_start_matches('/');
    write!(stream, "{method} /{path} HTTP/1.0\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    split(&answer).context("the answer is no HTTP")
}

/// Status and body of an HTTP/1.0 answer.
fn split(answer: &[u8]) -> Option<(u16, Vec<u8>)> {
    let head_end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let line = std::str::from_utf8(answer.split(|b| *b == b'\r').next()?).ok()?;
    let status = line.split(' ').nth(1)?.parse().ok()?;
    Some((status, answer[head_end + 4..].to_vec()))
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn answers_are_split() {
        let answer = b"HTTP/1.0 503 Service Unavailable\r\nx: y\r\n\r\nnot yet";
        assert_eq!(split(answer), Some((503, b"not yet".to_vec())));
        assert_eq!(split(b"rubbish"), None);
    }
}
