//! One container: its process started, asked how it does, started again, ended.
//!
//! Invariant: a process is signalled only by the task that also waits for it, so a process id is never used after it was
//! freed.

use std::convert::Infallible;
use std::io;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::net::unix::pipe;
use tokio::process::Child;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::sleep;

use super::exec::exit_code;
use super::log::ContainerLog;
use super::probe::{self, Tally, Target};
use super::sandbox::Room;
use super::spec::{
    ContainerSpec, ContainerState, Exit, PodEvent, PodEventKind, PodStatus, Probe, RestartPolicy,
};
use super::state::{self, Slot};
use crate::limits::PROBE_EAGER;

/// The code shown for a program that could not be started. Docker and kubelet: 128.
const NOT_STARTED: i32 = 128;
/// A deadline that is not set yet.
const FAR: Duration = Duration::from_secs(1 << 30);

/// How far the end of a pod has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ending {
    No,
    /// SIGTERM.
    Asked,
    /// SIGKILL.
    Forced,
}

/// What the containers of a pod share with the pod.
#[derive(Debug)]
pub(super) struct Board {
    pub(super) uid: String,
    pub(super) status: watch::Sender<PodStatus>,
    pub(super) ending: watch::Sender<Ending>,
    pub(super) events: mpsc::UnboundedSender<PodEvent>,
}

impl Board {
    pub(super) fn tell(&self, kind: PodEventKind) {
        let _ = self.events.send(PodEvent { uid: self.uid.clone(), kind }); // nobody listens any more
    }

    fn change(&self, slot: Slot, change: impl FnOnce(&mut super::spec::ContainerStatus)) {
        let mut turned = None;
        self.status.send_modify(|status| {
            let before = status.ready;
            state::change(status, slot, change);
            turned = (status.ready != before).then_some(status.ready);
        });
        if let Some(ready) = turned {
            self.tell(PodEventKind::Ready(ready));
        }
    }
}

#[derive(Debug)]
pub(super) struct Container {
    pub(super) slot: Slot,
    pub(super) spec: ContainerSpec,
    pub(super) policy: RestartPolicy,
    pub(super) grace: Duration,
    pub(super) room: Arc<Room>,
    pub(super) log: ContainerLog,
    pub(super) target: Target,
    pub(super) board: Arc<Board>,
}

impl Container {
    /// Keeps the container running as its policy says; its last exit code when it is over.
    pub(super) async fn keep(&self) -> i32 {
        let mut wait = Duration::ZERO;
        loop {
            let (began, started) = (Instant::now(), SystemTime::now());
            let code = match self.start() {
                Ok(child) => self.attend(child).await,
                Err(error) => {
                    let message = format!("{:?}: {error}", self.spec.program);
                    self.log.push(format!("fairway: cannot start: {message}"));
                    self.board.tell(PodEventKind::Trouble { container: self.spec.name.clone(), message });
                    NOT_STARTED
                }
            };
            wait = state::next_wait(wait, began.elapsed());
            let exit = Exit { code, started, finished: SystemTime::now() };
            let again = !self.ending() && state::restarts(self.policy, self.slot.init, code);
            self.board.change(self.slot, |c| state::exited(c, exit, again.then_some(wait)));
            self.board.tell(PodEventKind::Exited {
                container: self.spec.name.clone(),
                code,
                restarts: again,
            });
            if !again {
                return code;
            }
            let mut ending = self.board.ending.subscribe();
            tokio::select! {
                () = sleep(wait) => self.board.change(self.slot, |c| c.restarts += 1),
                _ = ending.wait_for(|e| *e > Ending::No) => {
                    self.board.change(self.slot, |c| state::exited(c, exit, None));
                    return code;
                }
            }
        }
    }

    fn ending(&self) -> bool {
        *self.board.ending.borrow() > Ending::No
    }

    fn start(&self) -> io::Result<Child> {
        if self.ending() {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "the pod is being stopped"));
        }
        // One pipe for both, so that the lines keep their order.
        let (read, write) = io::pipe()?;
        let mut command = self.room.main(&self.spec.args)?;
        command.stdin(Stdio::null()).stdout(write.try_clone()?).stderr(write);
        let child = command.spawn()?;
        let output = pipe::Receiver::from_owned_fd(read.into())?;
        let log = self.log.clone();
        tokio::spawn(async move { log.take(output).await });
        Ok(child)
    }

    /// From start to end of one process.
    async fn attend(&self, mut child: Child) -> i32 {
        let Some(pid) = child.id().and_then(|id| i32::try_from(id).ok()) else { return NOT_STARTED };
        self.board.change(self.slot, |c| c.state = ContainerState::Running { since: SystemTime::now(), pid });
        self.board.tell(PodEventKind::Started { container: self.spec.name.clone() });
        let unhealthy = Notify::new();
        let code = tokio::select! {
            code = self.end_of(&mut child, pid, &unhealthy) => code,
            never = self.question(&unhealthy) => match never {},
        };
        // As with the end of a PID namespace: what it left behind, and what was run in the container, ends with it.
        self.room.clear().await;
        code
    }

    async fn end_of(&self, child: &mut Child, pid: i32, unhealthy: &Notify) -> i32 {
        let (mut to_ask, mut to_force) = (self.board.ending.subscribe(), self.board.ending.subscribe());
        let (mut asked, mut forced) = (false, false);
        let deadline = sleep(FAR);
        tokio::pin!(deadline);
        loop {
            tokio::select! {
                status = child.wait() => return status.map_or(NOT_STARTED, exit_code),
                _ = to_force.wait_for(|e| *e == Ending::Forced), if !forced => {
                    forced = true;
                    let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
                }
                _ = to_ask.wait_for(|e| *e >= Ending::Asked), if !asked => {
                    asked = true;
                    let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
                }
                () = unhealthy.notified(), if !asked => {
                    asked = true;
                    let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
                    deadline.as_mut().reset(tokio::time::Instant::now() + self.grace);
                }
                () = &mut deadline, if !forced => {
                    forced = true;
                    let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
                }
            }
        }
    }

    /// Asks the probes as long as the process runs. Never ends.
    async fn question(&self, unhealthy: &Notify) -> Infallible {
        if let Some(startup) = &self.spec.startup
            && !self.started(startup).await
        {
            self.unhealthy("startup", unhealthy);
            return std::future::pending().await;
        }
        self.board.change(self.slot, |c| c.started = true);
        tokio::join!(self.follow_readiness(), self.follow_liveness(unhealthy));
        std::future::pending().await
    }

    /// We ask more often than the probe's period says; a failure counts once per period all the same.
    async fn started(&self, probe: &Probe) -> bool {
        let mut tally = Tally::default();
        sleep(probe.initial_delay).await;
        let mut next = Instant::now();
        loop {
            let answer = probe::ask(probe, &self.target).await;
            let now = Instant::now();
            if answer.is_ok() || now >= next {
                if let Some(verdict) = tally.count(probe, answer.is_ok()) {
                    return verdict;
                }
                next = now + probe.period;
            }
            sleep(probe::pause(probe, false, PROBE_EAGER)).await;
        }
    }

    async fn follow_readiness(&self) {
        let Some(probe) = &self.spec.readiness else {
            return self.board.change(self.slot, |c| c.ready = true);
        };
        let (mut tally, mut ready) = (Tally::default(), false);
        sleep(probe.initial_delay).await;
        loop {
            let answer = probe::ask(probe, &self.target).await;
            if let Err(error) = &answer {
                tracing::debug!(pod = self.board.uid, container = self.spec.name, error, "not ready");
            }
            if let Some(verdict) = tally.count(probe, answer.is_ok())
                && verdict != ready
            {
                ready = verdict;
                self.board.change(self.slot, |c| c.ready = ready);
            }
            sleep(probe::pause(probe, ready, PROBE_EAGER)).await;
        }
    }

    async fn follow_liveness(&self, unhealthy: &Notify) {
        let Some(probe) = &self.spec.liveness else { return };
        let mut tally = Tally::default();
        sleep(probe.initial_delay).await;
        loop {
            let answer = probe::ask(probe, &self.target).await;
            if tally.count(probe, answer.is_ok()) == Some(false) {
                return self.unhealthy("liveness", unhealthy);
            }
            sleep(probe.period).await;
        }
    }

    fn unhealthy(&self, which: &str, unhealthy: &Notify) {
        self.log.push(format!("fairway: {which} probe failed, the container is started again"));
        unhealthy.notify_one();
    }
}
