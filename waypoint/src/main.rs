//! The binary: argv in, exit code out.

use std::process::ExitCode;
use waypoint::args::{self, Command};
use waypoint::{agent, app};

// Fewer and cheaper allocations on the request path than glibc's: 7 to 10 % of a request's CPU.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USAGE: &str =
    "usage: waypoint proxy waypoint [flags] | request METHOD PATH | wait [--timeoutSeconds N] | version";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let result = match args::parse(&words) {
        Ok(Command::Proxy(args)) => app::run(&args),
        Ok(Command::Request { method, path }) => agent::request(&method, &path),
        Ok(Command::Wait { timeout_seconds }) => agent::wait(timeout_seconds),
        Ok(Command::Version) => agent::print(&format!(
            "fairway-waypoint {} (Istio {})",
            mesh::version::FAIRWAY,
            mesh::version::ISTIO
        )),
        Ok(Command::Help) => agent::print(USAGE),
        Err(error) => Err(anyhow::Error::new(error).context(USAGE)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The log may not be up yet; the kubelet shows stderr.
            let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{error:#}\n").as_bytes());
            ExitCode::FAILURE
        }
    }
}
