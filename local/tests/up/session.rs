//! One `fairway up` and commands against it.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

/// Generous: the machine may be building something else.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Session {
    up: Child,
    folder: tempfile::TempDir,
    address: String,
}

#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A web service of this version, a client, and what they need.
pub(crate) fn manifest(body: &str) -> String {
    format!(
        "
apiVersion: v1
kind: Namespace
metadata: {{name: shop}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: config, namespace: shop}}
data: {{greeting: hello}}
---
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: shop, annotations: {{fairway.dev/ingress: \"true\"}}}}
spec: {{selector: {{app: web}}, ports: [{{name: http, port: 80, targetPort: http}}]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, namespace: shop}}
spec:
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      terminationGracePeriodSeconds: 2
      containers:
      - name: web
        image: serve
        ports: [{{name: http, containerPort: 8080}}]
        env: [{{name: BODY, value: {body}}}]
        readinessProbe: {{httpGet: {{port: http}}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: client, namespace: shop}}
spec:
  selector: {{matchLabels: {{app: client}}}}
  template:
    metadata: {{labels: {{app: client}}}}
    spec:
      terminationGracePeriodSeconds: 1
      volumes: [{{name: config, configMap: {{name: config}}}}]
      containers:
      - {{name: client, image: client, command: [sleep, infinity], volumeMounts: [{{name: config, mountPath: /config}}]}}
"
    )
}

impl Session {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let own = std::env::current_exe()?;
        let mut images = String::new();
        for verb in ["serve", "crash"] {
            writeln!(images, "- {{image: ^{verb}$, program: {}, args: [{verb}]}}", own.display())?;
        }
        images.push_str("- {image: ^client$, entrypoint: [sleep, infinity]}\n");
        images.push_str("- {image: ^fairway/ingress$, program: fairway, args: [pause]}\n");
        std::fs::write(folder.path().join("images.yaml"), images)?;
        std::fs::create_dir(folder.path().join("manifests"))?;
        std::fs::write(folder.path().join("manifests/app.yaml"), manifest("one"))?;
        let mut up = command(folder.path())
            .arg("up")
            .arg(folder.path().join("manifests"))
            .arg("--images")
            .arg(folder.path().join("images.yaml"))
            .args(["--no-mesh", "--port", "0", "--timeout", &PATIENCE.as_secs().to_string()])
            .stdout(Stdio::piped())
            .spawn()?;
        let output = up.stdout.take().context("its stdout is a pipe")?;
        match address(output) {
            Ok(address) => Ok(Self { up, folder, address }),
            Err(error) => {
                up.kill()?;
                up.wait()?;
                Err(error)
            }
        }
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> anyhow::Result<String> {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text)?;
        Ok(path.to_string_lossy().into_owned())
    }

    pub(crate) fn attempt(&self, args: &[&str]) -> anyhow::Result<Outcome> {
        let output = command(self.folder.path()).args(args).stdin(Stdio::null()).output()?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(Outcome {
            code: output.status.code().unwrap_or(-1),
            out: text(output.stdout),
            err: text(output.stderr),
        })
    }

    /// A command that must succeed; its output.
    pub(crate) fn run(&self, args: &[&str]) -> anyhow::Result<String> {
        let outcome = self.attempt(args)?;
        ensure!(outcome.code == 0, "{args:?}: {outcome:?}");
        Ok(outcome.out)
    }

    /// One request through the ingress; head and body.
    pub(crate) fn fetch(&self) -> anyhow::Result<String> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET / HTTP/1.1\r\nhost: web\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    }

    /// Ends it as Ctrl-C does; no process of it is left, and its socket is gone.
    pub(crate) fn end_and_check_leftovers(mut self) -> anyhow::Result<()> {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.up.id())?);
        let mut ours = descendants(self.up.id())?;
        ensure!(!ours.is_empty(), "the node should be a child of ours");
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT)?;
        let status = self.up.wait()?;
        ensure!(status.code() == Some(0), "{status}");
        let begin = Instant::now();
        while !ours.is_empty() {
            ours.retain(|p| Path::new(&format!("/proc/{p}")).exists());
            ensure!(begin.elapsed() < PATIENCE, "still there: {ours:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
        let left: Vec<PathBuf> =
            std::fs::read_dir(self.folder.path().join("run"))?.flatten().map(|e| e.path()).collect();
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.up.kill(); // it ended already when all went well
        let _ = self.up.wait();
    }
}

fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fairway"));
    command.env("FAIRWAY_RUN", folder.join("run"));
    command
}

/// Reads what `up` prints until it says where the page is.
fn address(output: impl Read + Send + 'static) -> anyhow::Result<String> {
    let mut said = String::new();
    for line in BufReader::new(output).lines() {
        let line = line?;
        if let Some(rest) = line.trim().strip_prefix("http://localhost:") {
            let port = rest.split('/').next().unwrap_or_default();
            return Ok(format!("127.0.0.1:{port}"));
        }
        said.push_str(&line);
        said.push('\n');
    }
    bail!("`up` ended before it was ready:\n{said}")
}

/// All processes below one, by /proc.
fn descendants(of: u32) -> anyhow::Result<Vec<u32>> {
    let mut parents = Vec::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse::<u32>().ok()) else { continue };
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        let parent =
            stat.rsplit(')').next().and_then(|s| s.split_whitespace().nth(1)).and_then(|p| p.parse().ok());
        parents.push((pid, parent.unwrap_or(0)));
    }
    let mut found = vec![of];
    let mut at = 0;
    while at < found.len() {
        let above = found[at];
        found.extend(parents.iter().filter(|(_, parent)| *parent == above).map(|(pid, _)| *pid));
        at += 1;
    }
    found.remove(0);
    Ok(found)
}
