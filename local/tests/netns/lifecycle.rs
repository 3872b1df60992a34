//! Pods with processes in them, from `create` to `stop`.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use fairway::node::network::Network;
use fairway::pods::exec::{ExecError, ExecRequest};
use fairway::pods::pod::{Pod, PodHost};
use fairway::pods::spec::{
    ContainerSpec, ContainerState, DnsConfig, Mount, PodEvent, PodEventKind, PodNetwork, PodPhase, PodSpec,
    Probe, ProbeAction, Program, Projection, RestartPolicy, TokenSource, Volume, VolumeSource,
};
use tokio::sync::mpsc;

use crate::lab::{A, NODE, PATIENCE, at, greeting, node, until};

/// A node with a folder for its pods, and what they tell.
pub(crate) struct Place {
    pub(crate) network: Network,
    host: PodHost,
    events: mpsc::UnboundedSender<PodEvent>,
    heard: mpsc::UnboundedReceiver<PodEvent>,
    _dir: tempfile::TempDir,
}

impl Place {
    pub(crate) async fn new() -> anyhow::Result<Self> {
        let network = node().await?;
        let dir = tempfile::tempdir_in("/run").or_else(|_| tempfile::tempdir())?;
        let host = PodHost::new(network.clone(), dir.path().to_owned());
        let (events, heard) = mpsc::unbounded_channel();
        Ok(Self { network, host, events, heard, _dir: dir })
    }

    pub(crate) async fn create(&self, spec: PodSpec) -> anyhow::Result<Pod> {
        Ok(Pod::create(spec, &self.host, self.events.clone()).await?)
    }

    async fn start(&self, spec: PodSpec) -> anyhow::Result<Pod> {
        let pod = self.create(spec).await?;
        pod.start();
        Ok(pod)
    }

    /// What happened so far, without uid and without what varies.
    fn heard(&mut self) -> Vec<PodEventKind> {
        std::iter::from_fn(|| self.heard.try_recv().ok()).map(|e| e.kind).collect()
    }
}

pub(crate) fn sh(script: &str) -> ContainerSpec {
    ContainerSpec {
        name: "app".into(),
        program: Program::Container("sh".into()),
        args: vec!["-c".into(), script.into()],
        env: vec![("COLOUR".into(), "green".into())],
        working_dir: None,
        mounts: vec![],
        startup: None,
        readiness: None,
        liveness: None,
    }
}

pub(crate) fn pod(containers: Vec<ContainerSpec>) -> PodSpec {
    static UIDS: AtomicU32 = AtomicU32::new(0);
    PodSpec {
        namespace: "default".into(),
        name: "web".into(),
        uid: format!("uid-{}", UIDS.fetch_add(1, Ordering::Relaxed)),
        hostname: "web-0".into(),
        network: PodNetwork::Own(A),
        dns: DnsConfig {
            nameservers: vec![NODE],
            search: vec!["default.svc.cluster.local".into(), "cluster.local".into()],
            options: vec!["ndots:5".into()],
        },
        host_aliases: vec![(Ipv4Addr::new(192, 0, 2, 1), vec!["alias".into(), "other".into()])],
        volumes: vec![],
        init_containers: vec![],
        containers,
        restart: RestartPolicy::Always,
        grace: Duration::from_secs(15),
    }
}

const SLEEP: &str = "trap 'echo asked to end; exit 0' TERM; echo up; while :; do sleep 0.05; done";

fn log(pod: &Pod) -> String {
    pod.log("app").map(|l| l.tail(1000).join("\n")).unwrap_or_default()
}

async fn logged(pod: &Pod, text: &str) -> anyhow::Result<()> {
    until(&format!("{text:?} in the log"), || log(pod).contains(text)).await.with_context(|| log(pod))
}

/// Runs a script in the pod; its code and output.
async fn run(pod: &Pod, script: &str) -> anyhow::Result<(i32, String)> {
    let (mut read, write) = std::io::pipe()?;
    let stdio = [OwnedFd::from(std::fs::File::open("/dev/null")?), write.try_clone()?.into(), write.into()];
    let argv = ["sh", "-c", script].map(Into::into).to_vec();
    let env = vec![("EXTRA".into(), "more".into())];
    let code = pod.exec(ExecRequest { container: None, argv, env, stdio, working_dir: None }).await?;
    let mut text = String::new();
    read.read_to_string(&mut text)?;
    Ok((code, text.trim().to_owned()))
}

async fn check(pod: &Pod, script: &str, wanted: &str) -> anyhow::Result<()> {
    let (code, said) = run(pod, script).await?;
    ensure!((code, said.as_str()) == (0, wanted), "{script}: {code} {said:?}, wanted {wanted:?}");
    Ok(())
}

pub(crate) async fn a_pod_from_start_to_end() -> anyhow::Result<()> {
    let mut place = Place::new().await?;
    let pod = place.create(pod(vec![sh(SLEEP)])).await?;
    ensure!(pod.status().phase == PodPhase::Pending && place.heard().is_empty(), "nothing runs before start");
    pod.start();
    logged(&pod, "up").await?;
    until("ready", || pod.status().ready).await?;
    ensure!(pod.status().phase == PodPhase::Running);
    check(&pod, "hostname", "web-0").await?;
    check(&pod, "echo $COLOUR $EXTRA", "green more").await?;
    check(
        &pod,
        "cat /etc/resolv.conf",
        &format!("nameserver {NODE}\nsearch default.svc.cluster.local cluster.local\noptions ndots:5"),
    )
    .await?;
    check(&pod, "cat /etc/hosts", &format!("127.0.0.1 localhost\n{A} web-0\n192.0.2.1 alias other")).await?;
    check(&pod, "cat /etc/hostname; readlink /var/run; ls /run /tmp", "web-0\n/run\n/run:\n\n/tmp:").await?;
    let veth = pod.veth().context("its link")?.to_owned();
    let there =
        |place: &Place| place.network.ns().run(|| nix::net::if_::if_nametoindex(veth.as_str()).is_ok());
    ensure!(there(&place)?);
    pod.stop().await;
    ensure!(!there(&place)?, "the link is still there");
    let app = || "app".to_owned();
    let wanted = [
        PodEventKind::Started { container: app() },
        PodEventKind::Ready(true),
        PodEventKind::Ready(false),
        PodEventKind::Exited { container: app(), code: 0, restarts: false },
        PodEventKind::Stopped,
    ];
    let heard = place.heard();
    ensure!(heard == wanted, "{heard:?}");
    ensure!(log(&pod).contains("asked to end"));
    Ok(())
}

pub(crate) async fn restarts_and_exit_codes() -> anyhow::Result<()> {
    let place = Place::new().await?;
    let crashing = place.start(pod(vec![sh("echo run; exit 3")])).await?;
    until("a second run", || log(&crashing).matches("run").count() >= 2).await?;
    let status = crashing.status().containers.remove(0);
    ensure!(status.last_exit.map(|e| e.code) == Some(3) && status.restarts >= 1, "{status:?}");
    crashing.stop().await;

    for (policy, script, phase, code) in [
        (RestartPolicy::Never, "exit 4", PodPhase::Failed, 4),
        (RestartPolicy::Never, "kill -9 $$", PodPhase::Failed, 137),
        (RestartPolicy::OnFailure, "exit 0", PodPhase::Succeeded, 0),
    ] {
        let pod = place.start(PodSpec { restart: policy, ..pod(vec![sh(script)]) }).await?;
        until(script, || pod.status().phase == phase).await.with_context(|| format!("{:?}", pod.status()))?;
        match &pod.status().containers[0].state {
            ContainerState::Terminated(exit) if exit.code == code => {}
            other => bail!("{script}: {other:?}"),
        }
        pod.stop().await;
    }

    let absent = ContainerSpec { program: Program::Container("/no/such/program".into()), ..sh("") };
    let pod = place.start(PodSpec { restart: RestartPolicy::Never, ..pod(vec![absent]) }).await?;
    until("it has failed", || pod.status().phase == PodPhase::Failed).await?;
    ensure!(log(&pod).contains("/no/such/program"), "{}", log(&pod));
    pod.stop().await;
    Ok(())
}

fn every(action: ProbeAction) -> Probe {
    Probe { period: Duration::from_millis(100), failure_threshold: 2, ..Probe::new(action) }
}

fn file_there(path: &str) -> Probe {
    every(ProbeAction::Exec(["test", "-e", path].map(Into::into).to_vec()))
}

pub(crate) async fn probes_decide_readiness() -> anyhow::Result<()> {
    let place = Place::new().await?;
    let kinds: [(&str, Option<Probe>); 3] = [
        ("exec", Some(file_there("/tmp/ready"))),
        ("tcp", Some(every(ProbeAction::Tcp { host: None, port: 8080 }))),
        (
            "http",
            Some(every(ProbeAction::HttpGet {
                host: None,
                port: 8080,
                path: "ready".into(),
                headers: vec![],
            })),
        ),
    ];
    for (kind, readiness) in kinds {
        let pod = place.start(pod(vec![ContainerSpec { readiness, ..sh(SLEEP) }])).await?;
        logged(&pod, "up").await?;
        tokio::time::sleep(Duration::from_millis(300)).await;
        ensure!(!pod.status().ready, "{kind}: ready too early");
        let ns = pod.netns().context("its namespace")?;
        match kind {
            "exec" => drop(run(&pod, "touch /tmp/ready").await?),
            "tcp" => crate::lab::greeter(ns, 8080, "app")?,
            _ => web(ns, 8080)?,
        }
        until(kind, || pod.status().ready).await?;
        if kind == "exec" {
            run(&pod, "rm /tmp/ready").await?;
            until("no longer ready", || !pod.status().ready).await?;
        }
        if kind == "http" {
            let seen = greeting(ns, at(Ipv4Addr::LOCALHOST, 8081))?;
            ensure!(seen == "GET /ready kube-probe/fairway 169.254.7.127", "{seen}");
        }
        pod.stop().await;
    }
    Ok(())
}

/// Answers one kind of request with 200, and tells on the next port who asked last.
fn web(ns: &fairway::node::netns::NetNs, port: u16) -> anyhow::Result<()> {
    use std::io::{BufRead, BufReader, Write};
    let last = Arc::new(std::sync::Mutex::new(String::new()));
    let (web, teller) = (
        ns.tcp_listen(at(Ipv4Addr::UNSPECIFIED, port))?,
        ns.tcp_listen(at(Ipv4Addr::UNSPECIFIED, port + 1))?,
    );
    let asked = Arc::clone(&last);
    std::thread::spawn(move || {
        for mut stream in web.incoming().flatten() {
            let head: Vec<String> =
                BufReader::new(&stream).lines().map_while(Result::ok).take_while(|l| !l.is_empty()).collect();
            let path = head.first().and_then(|l| l.strip_suffix(" HTTP/1.1")).unwrap_or_default();
            let agent = head.iter().find_map(|l| l.strip_prefix("user-agent: ")).unwrap_or_default();
            let from = stream.peer_addr().map(|a| a.ip().to_string()).unwrap_or_default();
            *asked.lock().unwrap_or_else(PoisonError::into_inner) = format!("{path} {agent} {from}");
            let code = if path == "GET /ready" { 204 } else { 503 };
            let _ = write!(stream, "HTTP/1.1 {code} x\r\nconnection: close\r\n\r\n");
        }
    });
    std::thread::spawn(move || {
        for mut stream in teller.incoming().flatten() {
            let _ = stream.write_all(last.lock().unwrap_or_else(PoisonError::into_inner).as_bytes());
        }
    });
    Ok(())
}

pub(crate) async fn liveness_starts_again() -> anyhow::Result<()> {
    let place = Place::new().await?;
    let app = ContainerSpec {
        liveness: Some(file_there("/tmp/alive")),
        ..sh(&format!("touch /tmp/alive; {SLEEP}"))
    };
    let pod = place.start(pod(vec![app])).await?;
    logged(&pod, "up").await?;
    run(&pod, "rm /tmp/alive").await?;
    until("a second run", || log(&pod).matches("up").count() == 2).await?;
    ensure!(pod.status().containers[0].restarts == 1);
    ensure!(
        log(&pod).contains("liveness probe failed") && log(&pod).contains("asked to end"),
        "{}",
        log(&pod)
    );
    pod.stop().await;
    Ok(())
}

pub(crate) async fn ends_by_force() -> anyhow::Result<()> {
    let mut place = Place::new().await?;
    // Its child leaves the process group, as a daemon does.
    let stubborn = "trap '' TERM; setsid sh -c 'trap \"\" TERM; exec sleep 7777' & echo up; while :; do sleep 0.05; done";
    let spec = PodSpec { grace: Duration::from_millis(300), ..pod(vec![sh(stubborn)]) };
    let pod = place.start(spec).await?;
    logged(&pod, "up").await?;
    let began = Instant::now();
    pod.stop().await;
    ensure!(began.elapsed() >= Duration::from_millis(300), "the grace period was not kept");
    let killed = PodEventKind::Exited { container: "app".into(), code: 137, restarts: false };
    ensure!(place.heard().contains(&killed));
    ensure!(!running("7777"), "its child is still there");
    Ok(())
}

pub(crate) async fn a_second_stop_hurries_the_first() -> anyhow::Result<()> {
    let mut place = Place::new().await?;
    let spec = PodSpec {
        grace: PATIENCE * 10,
        ..pod(vec![sh("trap '' TERM; echo up; while :; do sleep 0.05; done")])
    };
    let pod = place.start(spec).await?;
    logged(&pod, "up").await?;
    let (first, second) = (pod.clone(), pod.clone());
    let both = async { tokio::join!(first.stop(), second.stop_within(Duration::from_millis(100))) };
    tokio::time::timeout(PATIENCE, both).await.context("the first grace period was waited for")?;
    pod.stop().await;
    let stops = place.heard().iter().filter(|e| **e == PodEventKind::Stopped).count();
    ensure!(stops == 1, "it ended {stops} times");
    Ok(())
}

/// Whether a process has this among its arguments.
fn running(word: &str) -> bool {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut arguments = processes.filter_map(|p| std::fs::read(p.path().join("cmdline")).ok());
    arguments.any(|line| line.split(|b| *b == 0).any(|arg| arg == word.as_bytes()))
}

pub(crate) async fn exec_in_a_pod() -> anyhow::Result<()> {
    let place = Place::new().await?;
    let pod = place.start(pod(vec![sh(SLEEP)])).await?;
    ensure!(run(&pod, "exit 7").await?.0 == 7);
    ensure!(run(&pod, "kill -15 $$").await?.0 == 143);
    check(&pod, "echo note >/tmp/note; cat /tmp/note", "note").await?;
    check(&pod, "cat /tmp/note; cat /proc/net/dev | grep -c eth0", "note\n1").await?;
    let null = || std::fs::File::open("/dev/null").map(OwnedFd::from);
    let request = |container: Option<&str>, argv: &[&str]| -> anyhow::Result<ExecRequest> {
        Ok(ExecRequest {
            container: container.map(Into::into),
            argv: argv.iter().map(|s| (*s).to_owned()).collect(),
            env: vec![],
            stdio: [null()?, null()?, null()?],
            working_dir: None,
        })
    };
    ensure!(matches!(pod.exec(request(Some("nobody"), &["true"])?).await, Err(ExecError::Container(_))));
    ensure!(matches!(pod.exec(request(Some("app"), &["/no/such"])?).await, Err(ExecError::Start { .. })));
    ensure!(matches!(pod.exec(request(None, &[])?).await, Err(ExecError::Empty)));
    // A caller who goes away takes the command along.
    let hanging = pod.exec(request(None, &["sleep", "8888"])?);
    ensure!(tokio::time::timeout(Duration::from_millis(500), hanging).await.is_err());
    until("the command is gone", || !running("8888")).await?;
    pod.stop().await;
    Ok(())
}

fn files(pairs: &[(&str, &str)]) -> Projection {
    Projection::Files(
        pairs.iter().map(|(k, v)| ((*k).to_owned(), v.as_bytes().to_vec())).collect::<BTreeMap<_, _>>(),
    )
}

pub(crate) async fn volumes_follow() -> anyhow::Result<()> {
    let place = Place::new().await?;
    let minted = Arc::new(AtomicU32::new(0));
    let token = TokenSource {
        path: "istio-token".into(),
        lifetime: Duration::from_millis(500),
        mint: Arc::new(move |_| Ok(format!("token-{}", minted.fetch_add(1, Ordering::Relaxed)))),
    };
    let shared = tempfile::tempdir_in("/run").or_else(|_| tempfile::tempdir())?;
    let volume = |name: &str, source| Volume { name: name.into(), source };
    let mount = |volume: &str, path: &str, sub_path: Option<&str>, read_only| Mount {
        volume: volume.into(),
        path: path.into(),
        sub_path: sub_path.map(PathBuf::from),
        read_only,
    };
    let spec = PodSpec {
        volumes: vec![
            volume("tokens", VolumeSource::Projected(vec![Projection::Token(token)])),
            volume("config", VolumeSource::Projected(vec![files(&[("root-cert.pem", "one")])])),
            volume("data", VolumeSource::EmptyDir),
            volume("host", VolumeSource::HostPath(shared.path().to_owned())),
        ],
        ..pod(vec![ContainerSpec {
            mounts: vec![
                mount("tokens", "/var/run/secrets/tokens", None, false),
                mount("config", "/var/run/secrets/istio", None, true),
                mount("data", "/var/lib/istio/data", None, false),
                mount("data", "/etc/istio/proxy", Some("sub"), false),
                mount("host", "/run/ztunnel", None, false),
            ],
            ..sh(SLEEP)
        }])
    };
    let pod = place.start(spec).await?;
    logged(&pod, "up").await?;
    check(&pod, "cat /run/secrets/istio/root-cert.pem", "one").await?;
    pod.update_volume("config", vec![files(&[("root-cert.pem", "two")])])?;
    check(&pod, "cat /var/run/secrets/istio/root-cert.pem", "two").await?;
    ensure!(run(&pod, "echo x >/var/run/secrets/istio/x").await?.0 != 0, "a read-only volume was written");
    check(&pod, "echo mine >/etc/istio/proxy/f; cat /var/lib/istio/data/sub/f", "mine").await?;
    check(&pod, "echo there >/run/ztunnel/f; test -e /etc/passwd && echo still", "still").await?;
    ensure!(std::fs::read_to_string(shared.path().join("f"))? == "there\n");
    let began = Instant::now();
    while run(&pod, "cat /var/run/secrets/tokens/istio-token").await?.1 == "token-0" {
        ensure!(began.elapsed() < PATIENCE, "the token was not renewed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    pod.stop().await;
    Ok(())
}

pub(crate) async fn init_containers_come_first() -> anyhow::Result<()> {
    let mut place = Place::new().await?;
    let data =
        || vec![Mount { volume: "data".into(), path: "/data".into(), sub_path: None, read_only: false }];
    let init = |name: &str, script: &str| ContainerSpec { name: name.into(), mounts: data(), ..sh(script) };
    let spec = PodSpec {
        volumes: vec![Volume { name: "data".into(), source: VolumeSource::EmptyDir }],
        init_containers: vec![init("one", "echo one >/data/f"), init("two", "echo two >>/data/f")],
        ..pod(vec![ContainerSpec { mounts: data(), ..sh(&format!("cat /data/f; {SLEEP}")) }])
    };
    let pod = place.start(spec).await?;
    logged(&pod, "one\ntwo\nup").await?;
    ensure!(pod.status().initialized);
    pod.stop().await;

    let failing = PodSpec {
        init_containers: vec![init("one", "exit 1")]
            .into_iter()
            .map(|c| ContainerSpec { mounts: vec![], ..c })
            .collect(),
        restart: RestartPolicy::Never,
        ..self::pod(vec![sh(SLEEP)])
    };
    let pod = place.start(failing).await?;
    until("it has failed", || pod.status().phase == PodPhase::Failed).await?;
    pod.stop().await;
    let begun = place
        .heard()
        .iter()
        .filter(|e| matches!(e, PodEventKind::Started { container } if container == "app"))
        .count();
    ensure!(begun == 1, "the second pod's container must not have started");
    Ok(())
}

pub(crate) async fn roots_are_read_only() -> anyhow::Result<()> {
    let place = Place::new().await?;
    // A program may lie where the container has a folder of its own.
    let programs = tempfile::tempdir_in("/tmp")?;
    let shell = programs.path().join("shell");
    std::fs::copy("/bin/sh", &shell)?;
    let program = ContainerSpec { program: Program::Machine(shell), ..sh(SLEEP) };
    let pod = place.start(pod(vec![program])).await?;
    logged(&pod, "up").await?;
    for script in ["touch /usr/fairway-was-here", "touch /usr/bin/fairway-was-here", "echo x >/etc/passwd"] {
        ensure!(run(&pod, script).await?.0 != 0, "{script} succeeded");
    }
    check(&pod, "ls /.fairway; ls -d /usr/bin", "shell\n/usr/bin").await?;
    pod.stop().await;
    Ok(())
}
