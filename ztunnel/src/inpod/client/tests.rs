//! The whole client against a scripted istio-cni: a listening socket of the right type, real descriptors.

use crate::inpod::client::run;
use crate::inpod::pods::{Pods, Start};
use crate::inpod::protocol::WorkloadInfo;
use crate::sockets::Namespace;
use crate::telemetry::Metrics;
use mesh::lifecycle::{Readiness, drain};
use mesh::proto::zds::{self, WorkloadRequest, workload_request::Payload};
use nix::sys::socket::{
    AddressFamily, Backlog, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, accept, bind, listen,
    recv, sendmsg, socket,
};
use prost::Message;
use std::fs::File;
use std::io::IoSlice;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[derive(Clone)]
struct Names;

impl Start for Names {
    type Proxy = String;

    async fn start(&self, _: &str, info: &WorkloadInfo, _: Arc<Namespace>) -> Result<String, String> {
        if &*info.name == "bad" { Err("port taken".into()) } else { Ok(info.name.to_string()) }
    }

    fn stop(&self, _: String) {}
}

/// istio-cni's end of one connection.
struct Cni(OwnedFd);

impl Cni {
    fn listen(path: &Path) -> OwnedFd {
        let listener =
            socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).unwrap();
        bind(listener.as_raw_fd(), &UnixAddr::new(path).unwrap()).unwrap();
        listen(&listener, Backlog::new(8).unwrap()).unwrap();
        listener
    }

    fn accept(listener: &OwnedFd) -> Self {
        let fd = accept(listener.as_raw_fd()).unwrap();
        #[allow(unsafe_code)] // SAFETY: just made by accept(2), owned by nobody else
        let cni = Self(unsafe { OwnedFd::from_raw_fd(fd) });
        assert_eq!(cni.receive(), [0x08, 0x01], "hello");
        cni
    }

    fn receive(&self) -> Vec<u8> {
        let mut buffer = [0; 1024];
        let length = recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::empty()).unwrap();
        buffer[..length].to_vec()
    }

    /// Sends a request and returns the error of its ack.
    fn ask(&self, payload: Payload, descriptors: usize) -> String {
        let packet = WorkloadRequest { payload: Some(payload) }.encode_to_vec();
        let files: Vec<_> = (0..descriptors).map(|_| File::open("/proc/self/ns/net").unwrap()).collect();
        let raw: Vec<_> = files.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&raw)];
        let control: &[_] = if raw.is_empty() { &[] } else { &rights };
        let parts = [IoSlice::new(&packet)];
        sendmsg::<UnixAddr>(self.0.as_raw_fd(), &parts, control, MsgFlags::empty(), None).unwrap();
        let response = zds::WorkloadResponse::decode(&*self.receive()).unwrap();
        let Some(zds::workload_response::Payload::Ack(ack)) = response.payload else { panic!("no ack") };
        ack.error
    }

    fn add(&self, name: &str) -> String {
        let info =
            zds::WorkloadInfo { name: name.into(), namespace: "shop".into(), service_account: "sa".into() };
        self.ask(Payload::Add(zds::AddWorkload { uid: format!("uid-{name}"), workload_info: Some(info) }), 1)
    }
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(20), "not in time: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn hello_snapshot_updates_reconnect() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("zds.sock");
    let listener = Cni::listen(&path);
    let (pods, readiness) = (Arc::new(Pods::new(Names, Metrics::new("test"))), Readiness::new());
    let (trigger, watch) = drain();
    let client = std::thread::spawn({
        let (pods, readiness) = (pods.clone(), readiness.clone());
        move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(run(&path, &pods, &readiness, watch));
        }
    });
    let cni = Cni::accept(&listener);
    assert_eq!(cni.add("one"), "");
    assert!(!readiness.is_ready(), "before the snapshot is complete");
    assert_eq!(cni.ask(Payload::SnapshotSent(zds::SnapshotSent {}), 0), "");
    eventually("ready", || readiness.is_ready());
    assert_eq!(cni.add("bad"), "port taken");
    eventually("not ready while a pod is pending", || !readiness.is_ready());
    assert_eq!(cni.ask(Payload::Del(zds::DelWorkload { uid: "uid-bad".into() }), 0), "");
    eventually("ready again", || readiness.is_ready());

    let error = cni.ask(Payload::SnapshotSent(zds::SnapshotSent {}), 0);
    assert_eq!(error, "a second snapshot after the snapshot");
    assert_eq!(cni.receive(), [0_u8; 0], "a protocol error ends the connection");
    eventually("not ready without a connection", || !readiness.is_ready());
    assert_eq!(pods.proxies(), ["one"], "what runs, runs on");

    let cni = Cni::accept(&listener);
    assert_eq!(cni.add("two"), "");
    assert_eq!(cni.ask(Payload::SnapshotSent(zds::SnapshotSent {}), 0), "");
    eventually("the new snapshot", || pods.proxies() == ["two"] && readiness.is_ready());
    trigger.start();
    client.join().unwrap();
}
