//! Tests that need network namespaces: as root or not, each run makes a node as `fairway up` does and works inside it.
//!
//! It fails, and does not skip, where namespaces are not available. `cargo test -p fairway --test netns [WORD]` runs the
//! tests whose names contain WORD.

mod capture;
mod lab;
mod leftovers;
mod lifecycle;
mod namespaces;
mod redirection;
mod rules;
mod services;
mod zds;

use std::ffi::OsString;
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use anyhow::Context;
use fairway::node::enter::{self, NodeCommand};

type OutsideTest = (&'static str, fn() -> anyhow::Result<()>);
type Test = (&'static str, fn() -> Pin<Box<dyn Future<Output = anyhow::Result<()>>>>);

/// No test takes longer than a few seconds; a hanging one must still say its name.
const TEST_DEADLINE: Duration = Duration::from_secs(120);

macro_rules! tests {
    ($($module:ident: $($name:ident),+;)+) => {
        &[$($((concat!(stringify!($module), "::", stringify!($name)), || Box::pin($module::$name()))),+),+]
    };
}

const TESTS: &[Test] = tests! {
    namespaces: what_is_inside_stays_inside;
    rules: reads_as_written, names_what_the_kernel_refused, replacing_is_atomic;
    redirection: outbound_meets_ztunnel, inbound_meets_ztunnel, marked_traffic_is_not_captured,
        probes_and_self_calls_are_not_captured, dns_meets_ztunnel, original_source_finds_back, removal_restores;
    services: holds_many_services, spreads_and_follows_updates, without_endpoints_refuses, a_pod_reaches_itself, udp_and_the_node_itself;
    zds: snapshot_then_changes, refusals_are_told, newest_gets_additions, bad_peers_are_cut_off;
    lifecycle: a_pod_from_start_to_end, restarts_and_exit_codes, probes_decide_readiness, liveness_starts_again,
        ends_by_force, a_second_stop_hurries_the_first, exec_in_a_pod, volumes_follow, init_containers_come_first, roots_are_read_only;
    capture: sees_plain_text;
};

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("node") => inside(args.get(1).map(String::as_str)),
        Some("answer") => leftovers::answer(args.get(1).map(String::as_str)),
        Some("hold") => leftovers::hold(),
        Some("hold-node") => leftovers::hold_node(),
        _ => outside(args.iter().find(|a| !a.starts_with('-'))),
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}

/// What can only be seen from outside the node.
const OUTSIDE: &[OutsideTest] = &[
    ("leftovers::inherits_ends_and_tells_its_code", leftovers::inherits_ends_and_tells_its_code),
    ("leftovers::kill_leaves_nothing", leftovers::kill_leaves_nothing),
];

/// Starts the node and waits for it, then looks at nodes from outside.
fn outside(filter: Option<&String>) -> anyhow::Result<()> {
    let mut args: Vec<OsString> = vec!["netns".into(), "node".into()];
    args.extend(filter.map(OsString::from));
    let command =
        NodeCommand { program: std::env::current_exe()?, args, env: Vec::new(), inherit: Vec::new() };
    let mut node = enter::spawn(command).context("these tests need namespaces")?;
    let inside = runtime()?.block_on(node.wait())?;
    let wanted = |(name, _): &&OutsideTest| filter.is_none_or(|word| name.contains(word.as_str()));
    let outcomes = OUTSIDE.iter().filter(wanted).map(|(name, test)| report(name, Instant::now(), test));
    let outside = conclude(&outcomes.collect::<Vec<_>>(), "outside");
    std::process::exit(if inside == 0 && outside { 0 } else { 1 })
}

fn inside(filter: Option<&str>) -> anyhow::Result<()> {
    enter::settle("test-node")?;
    let wanted = |(name, _): &&Test| filter.is_none_or(|word| name.contains(word));
    let outcomes = TESTS.iter().filter(wanted).map(|(name, test)| {
        report(name, Instant::now(), || {
            let runtime = runtime()?;
            let result = runtime.block_on(async { tokio::time::timeout(TEST_DEADLINE, test()).await });
            runtime.shutdown_background();
            result.with_context(|| format!("not done after {TEST_DEADLINE:?}"))?
        })
    });
    let good = conclude(&outcomes.collect::<Vec<_>>(), "inside");
    std::process::exit(if good { 0 } else { 1 })
}

fn report(
    name: &'static str,
    began: Instant,
    test: impl FnOnce() -> anyhow::Result<()>,
) -> (&'static str, bool) {
    match test() {
        Ok(()) => println!("netns test {name} ... ok ({:.1?})", began.elapsed()),
        Err(error) => {
            println!("netns test {name} ... FAILED\n  {error:#}");
            return (name, false);
        }
    }
    (name, true)
}

fn conclude(outcomes: &[(&'static str, bool)], place: &str) -> bool {
    let failed: Vec<_> = outcomes.iter().filter(|(_, good)| !good).map(|(name, _)| *name).collect();
    println!("{} netns tests run {place} the node, {} failed {failed:?}\n", outcomes.len(), failed.len());
    failed.is_empty()
}
