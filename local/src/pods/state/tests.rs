use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime};

use super::{Slot, change, exited, fresh, next_wait, restarts};
use crate::pods::spec::{
    ContainerSpec, ContainerState, DnsConfig, Exit, PodNetwork, PodPhase, PodSpec, Program, RestartPolicy,
};

fn container(name: &str) -> ContainerSpec {
    ContainerSpec {
        name: name.into(),
        program: Program::Container("true".into()),
        args: vec![],
        env: vec![],
        working_dir: None,
        mounts: vec![],
        startup: None,
        readiness: None,
        liveness: None,
    }
}

fn pod(init: usize, main: usize) -> PodSpec {
    PodSpec {
        namespace: "default".into(),
        name: "pod".into(),
        uid: "uid".into(),
        hostname: "pod".into(),
        network: PodNetwork::Own(Ipv4Addr::new(10, 244, 0, 10)),
        dns: DnsConfig::default(),
        host_aliases: vec![],
        volumes: vec![],
        init_containers: (0..init).map(|i| container(&format!("init{i}"))).collect(),
        containers: (0..main).map(|i| container(&format!("main{i}"))).collect(),
        restart: RestartPolicy::Always,
        grace: Duration::from_secs(30),
    }
}

fn exit(code: i32) -> Exit {
    Exit { code, started: SystemTime::UNIX_EPOCH, finished: SystemTime::UNIX_EPOCH }
}

/// Steps: `r0` main container 0 runs, `y0` is ready, `c0` crashed and comes again, `t0=1` ended for good; `i…` for init.
fn after(init: usize, main: usize, steps: &str) -> (PodPhase, bool, bool) {
    let mut status = fresh(&pod(init, main));
    for step in steps.split_whitespace() {
        let (is_init, step) = step.strip_prefix('i').map_or((false, step), |s| (true, s));
        let slot = Slot { init: is_init, index: step[1..2].parse().unwrap() };
        change(&mut status, slot, |c| match &step[..1] {
            "r" => c.state = ContainerState::Running { since: SystemTime::UNIX_EPOCH, pid: 7 },
            "y" => c.ready = true,
            "c" => exited(c, exit(1), Some(Duration::from_secs(1))),
            "t" => exited(c, exit(step[3..].parse().unwrap()), None),
            other => panic!("{other}"),
        });
    }
    (status.phase, status.initialized, status.ready)
}

#[test]
fn phases() {
    let check = |init, main, steps, phase, initialized, ready| {
        assert_eq!(after(init, main, steps), (phase, initialized, ready), "{steps:?}");
    };
    check(0, 1, "", PodPhase::Pending, true, false);
    check(0, 1, "r0", PodPhase::Running, true, false);
    check(0, 1, "r0 y0", PodPhase::Running, true, true);
    check(0, 1, "r0 y0 c0", PodPhase::Running, true, false);
    check(0, 1, "r0 t0=0", PodPhase::Succeeded, true, false);
    check(0, 2, "r0 r1 t0=0 t1=3", PodPhase::Failed, true, false);
    check(0, 2, "r0 y0 r1", PodPhase::Running, true, false);
    check(0, 2, "r0 y0 r1 y1", PodPhase::Running, true, true);
    check(0, 2, "r0 r1 t0=0", PodPhase::Running, true, false);
    check(1, 1, "ir0", PodPhase::Pending, false, false);
    check(1, 1, "ir0 ic0", PodPhase::Pending, false, false);
    check(1, 1, "ir0 it0=0", PodPhase::Pending, true, false);
    check(1, 1, "ir0 it0=0 r0", PodPhase::Running, true, false);
    check(1, 1, "ir0 it0=2", PodPhase::Failed, false, false);
}

#[test]
fn restart_policies() {
    let check = |policy, init, code, expect| assert_eq!(restarts(policy, init, code), expect);
    check(RestartPolicy::Always, false, 0, true);
    check(RestartPolicy::Always, false, 1, true);
    check(RestartPolicy::Always, true, 0, false);
    check(RestartPolicy::Always, true, 1, true);
    check(RestartPolicy::OnFailure, false, 0, false);
    check(RestartPolicy::OnFailure, false, 137, true);
    check(RestartPolicy::Never, false, 1, false);
    check(RestartPolicy::Never, true, 1, false);
}

#[test]
fn waits_double_up_to_a_bound_and_are_forgotten() {
    let check = |last, ran, expect| {
        let seconds = Duration::from_secs;
        assert_eq!(next_wait(seconds(last), seconds(ran)), seconds(expect));
    };
    check(0, 0, 1);
    check(1, 0, 2);
    check(2, 5, 4);
    check(16, 0, 30);
    check(30, 0, 30);
    check(30, 60, 1);
}
