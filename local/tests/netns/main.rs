//! Tests that need network namespaces: as root or not, each run makes a node as `fairway up` does and works inside it.
//!
//! It fails, and does not skip, where namespaces are not available. `cargo test -p fairway --test netns [WORD]` runs the
//! tests whose names contain WORD.

mod capture;
mod lab;
mod leftovers;
mod lifecycle;
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

type Test = (&'static str, fn() -> Pin<Box<dyn Future<Output = anyhow::Result<()>>>>);

/// No test takes longer than a few seconds; a hanging one must still say its name.
const TEST_DEADLINE: Duration = Duration::from_secs(120);

macro_rules! tests {
    ($($module:ident: $($name:ident),+;)+) => {
        &[$($((concat!(stringify!($module), "::", stringify!($name)), || Box::pin($module::$name()))),+),+]
    };
}

const TESTS: &[Test] = tests! {
    rules: reads_as_written, names_what_the_kernel_refused, replacing_is_atomic;
    redirection: outbound_meets_ztunnel, inbound_meets_ztunnel, marked_traffic_is_not_captured,
        probes_and_self_calls_are_not_captured, dns_meets_ztunnel, original_source_finds_back, removal_restores;
    services: spreads_and_follows_updates, without_endpoints_refuses, a_pod_reaches_itself, udp_and_the_node_itself;
    zds: snapshot_then_changes, refusals_are_told, newest_gets_additions, bad_peers_are_cut_off;
    lifecycle: a_pod_from_start_to_end, restarts_and_exit_codes, probes_decide_readiness, liveness_starts_again,
        ends_by_force, exec_in_a_pod, volumes_follow, init_containers_come_first, roots_are_read_only;
    capture: sees_plain_text;
};

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("node") => inside(args.get(1).map(String::as_str)),
        Some("hold") => leftovers::hold(),
        Some("hold-node") => leftovers::hold_node(),
        _ => outside(args.iter().find(|a| !a.starts_with('-'))),
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}

/// Starts the node and waits for it, then looks at what must be gone from outside.
fn outside(filter: Option<&String>) -> anyhow::Result<()> {
    let mut args: Vec<OsString> = vec!["netns".into(), "node".into()];
    args.extend(filter.map(OsString::from));
    let command =
        NodeCommand { program: std::env::current_exe()?, args, env: Vec::new(), inherit: Vec::new() };
    let mut node = enter::spawn(command).context("these tests need namespaces")?;
    let code = runtime()?.block_on(node.wait())?;
    if filter.is_none_or(|word| "leftovers::kill_leaves_nothing".contains(word.as_str())) {
        leftovers::kill_leaves_nothing()?;
    }
    std::process::exit(code)
}

fn inside(filter: Option<&str>) -> anyhow::Result<()> {
    enter::settle("test-node")?;
    let chosen: Vec<_> =
        TESTS.iter().filter(|(name, _)| filter.is_none_or(|word| name.contains(word))).collect();
    let mut failed = Vec::new();
    for (name, test) in &chosen {
        let began = Instant::now();
        let runtime = runtime()?;
        let result = runtime.block_on(async { tokio::time::timeout(TEST_DEADLINE, test()).await });
        let result = result.unwrap_or_else(|_| Err(anyhow::anyhow!("not done after {TEST_DEADLINE:?}")));
        runtime.shutdown_background();
        match result {
            Ok(()) => println!("netns test {name} ... ok ({:.1?})", began.elapsed()),
            Err(error) => {
                println!("netns test {name} ... FAILED\n  {error:#}");
                failed.push(name);
            }
        }
    }
    println!("\n{} netns tests run, {} failed", chosen.len(), failed.len());
    if failed.is_empty() {
        return Ok(());
    }
    println!("failed: {failed:?}");
    std::process::exit(1)
}
