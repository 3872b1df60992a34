//! istiod as a process of the node, and the conversation with it: objects in; statuses, addresses, rejections out.
//!
//! The process is `fairway-istiod serve`; the protocol is one JSON object per line over a unix socket (see
//! `local/istiod/feed`). When it ends it is started again and told everything from the beginning.

pub mod message;

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use crate::cluster::addresses::NODE;
use crate::limits::{FEED_LINE_MAX, ISTIOD_CONNECT_DEADLINE, ISTIOD_RESTART_WAIT};
use crate::pods::log::ContainerLog;
use message::FromIstiod;

/// What it takes to run istiod.
#[derive(Debug)]
pub struct Istiod {
    pub program: PathBuf,
    /// A folder of the node for its socket and key.
    pub folder: PathBuf,
    /// What service account tokens are verified with (PEM).
    pub token_key: String,
    pub log: ContainerLog,
}

/// What the agent hears.
#[derive(Debug)]
pub enum Event {
    /// A new istiod listens: it has to be told everything, through this.
    Connected(mpsc::UnboundedSender<String>),
    Message(FromIstiod),
    /// It ended; it is started again by itself.
    Ended(String),
}

impl Istiod {
    /// Runs istiod for ever, until nobody listens to its events any more.
    pub async fn keep(self, events: mpsc::UnboundedSender<Event>) {
        while !events.is_closed() {
            let why = match self.once(&events).await {
                Ok(()) => "it closed the conversation".to_owned(),
                Err(error) => format!("{error:#}"),
            };
            let _ = events.send(Event::Ended(why)); // nobody listens: the loop ends
            tokio::time::sleep(ISTIOD_RESTART_WAIT).await;
        }
    }

    async fn once(&self, events: &mpsc::UnboundedSender<Event>) -> anyhow::Result<()> {
        let socket = self.folder.join("istiod.sock");
        let key = self.folder.join("token-key.pem");
        std::fs::write(&key, &self.token_key).with_context(|| key.display().to_string())?;
        let _ = std::fs::remove_file(&socket); // of the one before
        let listener = UnixListener::bind(&socket).with_context(|| socket.display().to_string())?;
        let mut child = self.spawn(&socket, &key)?;
        let stderr = child.stderr.take().context("its stderr is a pipe")?;
        let log = self.log.clone();
        tokio::spawn(async move { log.take(stderr).await });
        let (stream, _) = tokio::select! {
            accepted = listener.accept() => accepted?,
            status = child.wait() => bail!("it ended at once: {}", status?),
            () = tokio::time::sleep(ISTIOD_CONNECT_DEADLINE) => bail!("it did not connect within {ISTIOD_CONNECT_DEADLINE:?}"),
        };
        let conversation = converse(stream, events);
        tokio::select! {
            ended = conversation => ended,
            status = child.wait() => bail!("it ended: {}", status?),
        }
    }

    fn spawn(&self, socket: &Path, key: &Path) -> anyhow::Result<Child> {
        Command::new(&self.program)
            .arg("serve")
            .arg("--socket")
            .arg(socket)
            .arg("--token-key")
            .arg(key)
            .args(["--secure-addr", &format!("{NODE}:15012"), "--monitoring-addr", &format!("{NODE}:15014")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", self.program.display()))
    }
}

async fn converse(stream: UnixStream, events: &mpsc::UnboundedSender<Event>) -> anyhow::Result<()> {
    let (read, write) = stream.into_split();
    let (lines, to_send) = mpsc::unbounded_channel();
    if events.send(Event::Connected(lines)).is_err() {
        return Ok(());
    }
    tokio::select! {
        sent = send(write, to_send) => sent,
        received = receive(read, events) => received,
    }
}

async fn send(mut write: OwnedWriteHalf, mut lines: mpsc::UnboundedReceiver<String>) -> anyhow::Result<()> {
    while let Some(mut line) = lines.recv().await {
        line.push('\n');
        write.write_all(line.as_bytes()).await?;
    }
    Ok(())
}

async fn receive(read: OwnedReadHalf, events: &mpsc::UnboundedSender<Event>) -> anyhow::Result<()> {
    let mut reader = BufReader::new(read);
    let mut line = Vec::new();
    loop {
        line.clear();
        // `take` bounds a line that never ends.
        let read =
            tokio::io::AsyncReadExt::take(&mut reader, FEED_LINE_MAX).read_until(b'\n', &mut line).await?;
        if read == 0 {
            return Ok(());
        }
        if line.last() != Some(&b'\n') {
            bail!("a line of more than {FEED_LINE_MAX} bytes");
        }
        let value: Value = serde_json::from_slice(&line).context("a line that is no JSON")?;
        let message = FromIstiod::read(value)?;
        if events.send(Event::Message(message)).is_err() {
            return Ok(());
        }
    }
}
