//! `fairway up --no-mesh` from outside, with the real binary: a user's commands and what they see.
//!
//! The pods' program is this test itself (`serve`), so that nothing but fairway has to be built. Fails, and does not skip,
//! where namespaces are not available.

mod session;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use session::Session;

type Test = (&'static str, fn(&Session) -> anyhow::Result<()>);

/// In this order, on one mesh: each leaves it as it found it.
const TESTS: &[Test] = &[
    ("the page is served through the ingress", page),
    ("names and service addresses work in pods", names),
    ("exec hands over stdio and exit codes", exec),
    ("mistakes name object and field", mistakes),
    ("labels and scale", labels_and_scale),
    ("a rolling restart fails no request", rollout),
    ("a crashing pod says why", crash),
    ("logs", logs),
    ("a deleted namespace is gone", delete),
];

fn main() -> anyhow::Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("serve") => serve(),
        Some("crash") => bail!("no luck today"),
        word => outside(word.filter(|w| !w.starts_with('-'))),
    }
}

fn outside(word: Option<&str>) -> anyhow::Result<()> {
    let session = Session::start()?;
    let mut ran = 0;
    for (name, test) in TESTS.iter().filter(|(name, _)| word.is_none_or(|w| name.contains(w))) {
        let begin = Instant::now();
        test(&session).with_context(|| (*name).to_owned())?;
        eprintln!("ok    {name} ({} ms)", begin.elapsed().as_millis());
        ran += 1;
    }
    session.end_and_check_leftovers()?;
    eprintln!("{ran} tests passed on a mesh of this machine");
    Ok(())
}

/// An HTTP server that says which version it is.
fn serve() -> anyhow::Result<()> {
    let body = std::env::var("BODY")?;
    let listener = TcpListener::bind("0.0.0.0:8080")?;
    eprintln!("serving {body}");
    for stream in listener.incoming() {
        let body = body.clone();
        std::thread::spawn(move || answer(stream?, &body));
    }
    Ok(())
}

fn answer(mut stream: TcpStream, body: &str) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut chunk = [0; 1024];
        match stream.read(&mut chunk)? {
            0 => return Ok(()),
            n => request.extend_from_slice(&chunk[..n]),
        }
    }
    let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: ";
    stream.write_all(format!("{head}{}\r\n\r\n{body}", body.len()).as_bytes())
}

fn page(session: &Session) -> anyhow::Result<()> {
    let text = session.fetch()?;
    ensure!(text.contains("200 OK") && text.ends_with("one"), "{text}");
    Ok(())
}

fn names(session: &Session) -> anyhow::Result<()> {
    let hosts = session.run(&[
        "exec",
        "-n",
        "shop",
        "client",
        "--",
        "getent",
        "ahostsv4",
        "web.shop.svc.cluster.local",
    ])?;
    ensure!(hosts.contains("10.96.0."), "{hosts}");
    let short = session.run(&["exec", "-n", "shop", "client", "--", "getent", "ahostsv4", "web"])?;
    ensure!(short.contains("10.96.0."), "{short}");
    let unknown =
        session.attempt(&["exec", "-n", "shop", "client", "--", "getent", "ahostsv4", "example.org"])?;
    ensure!(unknown.code == 2, "{unknown:?}");
    let own =
        session.run(&["exec", "-n", "shop", "client", "--", "sh", "-c", "hostname; cat /config/greeting"])?;
    ensure!(own.starts_with("client-") && own.ends_with("hello"), "{own}");
    Ok(())
}

fn exec(session: &Session) -> anyhow::Result<()> {
    let outcome = session.attempt(&[
        "exec",
        "-n",
        "shop",
        "client",
        "--",
        "sh",
        "-c",
        "echo out; echo err >&2; exit 7",
    ])?;
    ensure!(
        (outcome.code, outcome.out.as_str(), outcome.err.as_str()) == (7, "out\n", "err\n"),
        "{outcome:?}"
    );
    let unknown = session.attempt(&["exec", "nobody", "--", "true"])?;
    ensure!(unknown.code == 1 && unknown.err.contains("pod \"nobody\" not found"), "{unknown:?}");
    Ok(())
}

fn mistakes(session: &Session) -> anyhow::Result<()> {
    let check = |text: &str, expect: &str| {
        let file = session.file("bad.yaml", text)?;
        let outcome = session.attempt(&["apply", "-f", &file])?;
        ensure!(outcome.code == 1 && outcome.err.contains(expect), "expected {expect:?}, got {outcome:?}");
        Ok(())
    };
    check(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {container: []}",
        "Pod default/p: spec.container: unknown field",
    )?;
    check(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: nowhere}",
        "Secret nowhere/s: metadata.namespace: namespace \"nowhere\" not found",
    )?;
    check(
        "apiVersion: batch/v1\nkind: Job\nmetadata: {name: j}",
        "fairway does not run objects of kind Job",
    )?;
    check("a: [", "bad.yaml")
}

fn labels_and_scale(session: &Session) -> anyhow::Result<()> {
    session.run(&["label", "deployment", "web", "-n", "shop", "team=a"])?;
    let found = session.run(&["get", "deployments", "-n", "shop", "-l", "team=a", "-o", "name"])?;
    ensure!(found == "deployment/web\n", "{found}");
    session.run(&["label", "deployment", "web", "-n", "shop", "team-"])?;
    let found = session.run(&["get", "deployments", "-n", "shop", "-l", "team=a"])?;
    ensure!(found == "No resources found\n", "{found}");
    session.run(&["scale", "-n", "shop", "deployment/web", "--replicas", "2", "--wait"])?;
    let pods = session.run(&["get", "pods", "-n", "shop", "-l", "app=web"])?;
    ensure!(pods.lines().filter(|l| l.contains("1/1")).count() == 2, "{pods}");
    session.run(&["scale", "-n", "shop", "deployment/web", "--replicas", "1", "--wait"])?;
    Ok(())
}

fn rollout(session: &Session) -> anyhow::Result<()> {
    let manifest = session::manifest("two");
    let file = session.file("two.yaml", &manifest)?;
    let begin = Instant::now();
    session.run(&["apply", "-f", &file])?;
    let (mut seen, mut requests) = (String::new(), 0);
    // Every answer is the old one or the new one, whatever happens to the pods meanwhile.
    while !(seen == "two" && begin.elapsed() > Duration::from_secs(3)) {
        let text = session.fetch().context("during the rollout")?;
        seen = text.rsplit("\r\n").next().unwrap_or_default().to_owned();
        ensure!(seen == "one" || seen == "two", "{text}");
        ensure!(begin.elapsed() < session::PATIENCE, "still {seen:?}");
        requests += 1;
    }
    eprintln!("      {requests} requests meanwhile");
    Ok(())
}

fn crash(session: &Session) -> anyhow::Result<()> {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: unlucky, namespace: shop}\nspec: {containers: [{name: c, image: crash, readinessProbe: {tcpSocket: {port: 1}}}]}";
    let file = session.file("crash.yaml", pod)?;
    session.run(&["apply", "-f", &file])?;
    let waited = session.attempt(&["wait", "--timeout", "3"])?;
    ensure!(waited.code == 1 && waited.err.contains("no luck today"), "{waited:?}");
    session.run(&["delete", "-f", &file])?;
    let gone = session.attempt(&["get", "pod", "unlucky", "-n", "shop"])?;
    ensure!(gone.code == 1 && gone.err.contains("not found"), "{gone:?}");
    Ok(())
}

fn logs(session: &Session) -> anyhow::Result<()> {
    let text = session.run(&["logs", "-n", "shop", "web", "--tail", "1"])?;
    ensure!(text == "serving two\n", "{text}");
    Ok(())
}

fn delete(session: &Session) -> anyhow::Result<()> {
    session.run(&["delete", "namespace", "shop"])?;
    let pods = session.run(&["get", "pods", "-n", "shop"])?;
    ensure!(pods == "No resources found\n", "{pods}");
    Ok(())
}
