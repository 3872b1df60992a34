//! istio-cni's half of ZDS against a scripted ztunnel.

use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;

use anyhow::{Context, bail, ensure};
use fairway::node::netns::NetNs;
use fairway::node::zds_server::{Delivered, ZdsError, ZdsServer, ZdsWorkload};
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr, connect, recvmsg, send,
    setsockopt, socket, sockopt,
};

use crate::lab::{PATIENCE, until};

const HELLO: &[u8] = &[0x08, 0x01];
const ACK: &[u8] = &[0x0a, 0x00];

/// ztunnel's end of the connection, by the bytes it would send.
struct Ztunnel {
    socket: OwnedFd,
}

impl Ztunnel {
    fn connect(path: &Path) -> anyhow::Result<Self> {
        let socket = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None)?;
        let patience = nix::sys::time::TimeVal::new(PATIENCE.as_secs().cast_signed(), 0);
        setsockopt(&socket, sockopt::ReceiveTimeout, &patience)?;
        connect(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
        Ok(Self { socket })
    }

    fn say(&self, bytes: &[u8]) -> anyhow::Result<()> {
        send(self.socket.as_raw_fd(), bytes, MsgFlags::MSG_NOSIGNAL)?;
        Ok(())
    }

    /// A packet and the inodes of the descriptors that came with it.
    fn hear(&self) -> anyhow::Result<(Vec<u8>, Vec<u64>)> {
        let mut buffer = [0; 1024];
        let mut control = nix::cmsg_space!([RawFd; 4]);
        let mut slices = [IoSliceMut::new(&mut buffer)];
        let message = recvmsg::<()>(
            self.socket.as_raw_fd(),
            &mut slices,
            Some(&mut control),
            MsgFlags::MSG_CMSG_CLOEXEC,
        )?;
        let mut inodes = Vec::new();
        for control in message.cmsgs()? {
            if let ControlMessageOwned::ScmRights(fds) = control {
                for fd in fds {
                    inodes.push(inode(fd)?);
                }
            }
        }
        let n = message.bytes;
        Ok((buffer[..n].to_vec(), inodes))
    }

    fn hear_and_ack(&self) -> anyhow::Result<(Vec<u8>, Vec<u64>)> {
        let heard = self.hear()?;
        self.say(ACK)?;
        Ok(heard)
    }
}

#[allow(unsafe_code)]
fn inode(fd: RawFd) -> anyhow::Result<u64> {
    // SAFETY: recvmsg made it for us.
    let file = std::fs::File::from(unsafe { OwnedFd::from_raw_fd(fd) });
    Ok(file.metadata()?.ino())
}

fn workload(uid: &str) -> anyhow::Result<ZdsWorkload> {
    Ok(ZdsWorkload {
        uid: uid.into(),
        name: "n".into(),
        namespace: "d".into(),
        service_account: "s".into(),
        netns: Arc::new(NetNs::new()?),
    })
}

/// A protobuf field of type bytes, string or message.
fn field(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).expect("test messages are short");
    [&[tag << 3 | 2, length], content].concat()
}

/// WorkloadRequest{add{uid, workload_info{name, namespace, service_account}}}
fn add(uid: &str) -> Vec<u8> {
    let info = [field(1, b"n"), field(2, b"d"), field(3, b"s")].concat();
    field(1, &[field(1, uid.as_bytes()), field(2, &info)].concat())
}

/// WorkloadRequest{del{uid}}; uid is field 2 there.
fn del(uid: &str) -> Vec<u8> {
    field(2, &field(2, uid.as_bytes()))
}

const SNAPSHOT_SENT: &[u8] = &[0x1a, 0x00];

struct Server {
    zds: ZdsServer,
    path: PathBuf,
    _dir: tempfile::TempDir,
}

fn server() -> anyhow::Result<Server> {
    let dir = tempfile::tempdir_in("/run").or_else(|_| tempfile::tempdir())?;
    let path = dir.path().join("ztunnel.sock");
    Ok(Server { zds: ZdsServer::bind(&path)?, path, _dir: dir })
}

/// Runs a scripted ztunnel on a thread; blocking calls must not hold up the server.
fn script<T: Send + 'static>(
    path: &Path,
    f: impl FnOnce(Ztunnel) -> anyhow::Result<T> + Send + 'static,
) -> tokio::task::JoinHandle<anyhow::Result<T>> {
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || f(Ztunnel::connect(&path)?))
}

pub(crate) async fn snapshot_then_changes() -> anyhow::Result<()> {
    let server = server()?;
    let (one, two) = (workload("one")?, workload("two")?);
    let inodes = (one.netns.inode(), two.netns.inode());
    ensure!(server.zds.add(one).await? == Delivered::NoProxy);
    let (snapshot_done, wait) = tokio::sync::oneshot::channel();
    let ztunnel = script(&server.path, move |z| {
        z.say(HELLO)?;
        ensure!(z.hear_and_ack()? == (add("one"), vec![inodes.0]));
        ensure!(z.hear_and_ack()? == (SNAPSHOT_SENT.to_vec(), vec![]));
        let _ = snapshot_done.send(());
        ensure!(z.hear_and_ack()? == (add("two"), vec![inodes.1]));
        ensure!(z.hear_and_ack()? == (del("one"), vec![]));
        Ok(())
    });
    wait.await.context("the snapshot")?;
    ensure!(server.zds.add(two).await? == Delivered::Acknowledged);
    ensure!(server.zds.remove("one").await? == Delivered::Acknowledged);
    ensure!(server.zds.remove("one").await? == Delivered::NoProxy, "removing twice");
    ztunnel.await??;
    until("the connection's end is seen", || server.zds.connections() == 0).await?;
    // A new ztunnel is told what there is now.
    script(&server.path, move |z| {
        z.say(HELLO)?;
        ensure!(z.hear_and_ack()? == (add("two"), vec![inodes.1]));
        ensure!(z.hear_and_ack()?.0 == SNAPSHOT_SENT);
        Ok(())
    })
    .await?
}

pub(crate) async fn refusals_are_told() -> anyhow::Result<()> {
    let server = server()?;
    let ztunnel = script(&server.path, |z| {
        z.say(HELLO)?;
        ensure!(z.hear_and_ack()?.0 == SNAPSHOT_SENT);
        z.hear()?;
        z.say(&[0x0a, 0x04, 0x0a, 0x02, b'n', b'o'])?;
        z.hear_and_ack()?;
        Ok(z)
    });
    until("connected", || server.zds.connections() == 1).await?;
    let refused = server.zds.add(workload("x")?).await;
    ensure!(refused == Err(ZdsError::Refused { uid: "x".into(), message: "no".into() }), "{refused:?}");
    ensure!(server.zds.refusals()["x"] == "no");
    ensure!(server.zds.add(workload("x")?).await? == Delivered::Acknowledged);
    ensure!(server.zds.refusals().is_empty());
    drop(ztunnel.await??);
    Ok(())
}

pub(crate) async fn newest_gets_additions() -> anyhow::Result<()> {
    let server = server()?;
    let begin = |path: &Path| {
        script(path, |z| {
            z.say(HELLO)?;
            ensure!(z.hear_and_ack()?.0 == SNAPSHOT_SENT);
            Ok(z)
        })
    };
    let old = begin(&server.path).await??;
    let new = begin(&server.path).await??;
    until("both connected", || server.zds.connections() == 2).await?;
    let (heard, hears) = mpsc::channel();
    let follow = |name: &'static str, z: Ztunnel, n: usize| {
        let heard = heard.clone();
        tokio::task::spawn_blocking(move || -> anyhow::Result<()> {
            for _ in 0..n {
                heard.send((name, z.hear_and_ack()?.0))?;
            }
            Ok(())
        })
    };
    let (old, new) = (follow("old", old, 1), follow("new", new, 2));
    ensure!(server.zds.add(workload("p")?).await? == Delivered::Acknowledged);
    ensure!(server.zds.remove("p").await? == Delivered::Acknowledged);
    old.await??;
    new.await??;
    drop(heard);
    let mut all: Vec<_> = hears.iter().collect();
    all.sort();
    ensure!(all == [("new", add("p")), ("new", del("p")), ("old", del("p"))], "{all:?}");
    Ok(())
}

pub(crate) async fn bad_peers_are_cut_off() -> anyhow::Result<()> {
    let server = server()?;
    for (what, bytes) in
        [("version 0", &[0x08, 0x00][..]), ("no protobuf", &[0xff, 0xff]), ("too long", &[0; 1025])]
    {
        let cut = script(&server.path, move |z| {
            z.say(bytes)?;
            Ok(z.hear()?.0.is_empty())
        });
        ensure!(cut.await?.with_context(|| what)?, "{what} was accepted");
    }
    let unasked = script(&server.path, |z| {
        z.say(HELLO)?;
        z.hear_and_ack()?;
        z.say(ACK)?;
        match z.hear() {
            Ok((packet, _)) if packet.is_empty() => Ok(()),
            other => bail!("after an unsolicited packet: {other:?}"),
        }
    });
    unasked.await?
}
