//! Entering network namespaces, on one thread that does nothing else.
//!
//! A socket belongs to the namespace its thread was in when it was made, and works from every thread afterwards. So the
//! workers never leave home: a worker stranded in a pod's namespace after a failed return would serve all other pods from there.
//! Invariant: with nothing to do the thread is at home; staying would keep the namespace of a deleted pod alive.

use crate::limits;
use nix::sched::{CloneFlags, setns};
use nix::sys::stat::fstat;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread;
use tokio::sync::{mpsc, oneshot};

/// A pod's network namespace, held open.
#[derive(Debug)]
pub struct Namespace {
    fd: OwnedFd,
    id: (u64, u64),
}

impl Namespace {
    /// # Errors
    /// When the descriptor cannot be asked for its inode.
    pub fn new(fd: OwnedFd) -> io::Result<Self> {
        let stat = fstat(fd.as_fd())?;
        Ok(Self { fd, id: (stat.st_dev, stat.st_ino) })
    }

    /// Equal for two descriptors of the same namespace while either is open.
    #[must_use]
    pub fn id(&self) -> (u64, u64) {
        self.id
    }
}

type Job = Box<dyn FnOnce(io::Result<()>) + Send>;

/// Runs short jobs inside namespaces. Cheap to clone; the thread ends with the last clone.
#[derive(Clone, Debug)]
pub struct NamespaceThread {
    jobs: mpsc::Sender<(Arc<Namespace>, Job)>,
}

impl NamespaceThread {
    /// # Errors
    /// When there is no `/proc`, or no thread to be had.
    pub fn start() -> io::Result<Self> {
        let home = Arc::new(Namespace::new(File::open("/proc/self/ns/net")?.into())?);
        let (jobs, queue) = mpsc::channel(limits::NETNS_JOBS);
        thread::Builder::new().name("netns".into()).spawn(move || serve(&home, queue))?;
        Ok(Self { jobs })
    }

    /// Runs `job` inside `namespace`. It must not block: all pods share the thread.
    ///
    /// # Errors
    /// When the namespace cannot be entered, or what the job says.
    pub async fn run<T: Send + 'static>(
        &self,
        namespace: Arc<Namespace>,
        job: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |entered| {
            // The asker may have gone; then its socket is dropped here.
            let _ = answer.send(entered.and_then(|()| job()));
        });
        let gone = || io::Error::other("the network namespace thread is gone");
        self.jobs.send((namespace, job)).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

fn serve(home: &Arc<Namespace>, mut queue: mpsc::Receiver<(Arc<Namespace>, Job)>) {
    let mut at = home.id;
    loop {
        let next = match queue.try_recv() {
            Ok(next) => Some(next),
            Err(_) => {
                if let Err(error) = enter(home, &mut at) {
                    tracing::error!(%error, "cannot return to the node's network namespace");
                }
                queue.blocking_recv()
            }
        };
        let Some((namespace, job)) = next else { return };
        job(enter(&namespace, &mut at));
    }
}

/// On failure the thread stays where it was, and `at` says so: the next job asks again.
fn enter(namespace: &Namespace, at: &mut (u64, u64)) -> io::Result<()> {
    if *at != namespace.id {
        setns(namespace.fd.as_fd(), CloneFlags::CLONE_NEWNET)?;
        *at = namespace.id;
    }
    Ok(())
}
