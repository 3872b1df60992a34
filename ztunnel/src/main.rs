//! The ztunnel binary.

use clap::Parser;
use std::process::ExitCode;
use ztunnel::args::{Args, Command};
use ztunnel::{app, config};

// Measured on the data plane's small, short-lived allocations; also returns what a burst left behind, unlike glibc.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    if let Some(Command::Version) = Args::parse().command {
        return print_version();
    }
    match config::Config::from_env(std::env::vars()).map_err(Into::into).and_then(|config| app::run(&config))
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The log may not be there yet.
            let _ =
                std::io::Write::write_all(&mut std::io::stderr(), format!("ztunnel: {error:#}\n").as_bytes());
            ExitCode::FAILURE
        }
    }
}

fn print_version() -> ExitCode {
    let text = format!("ztunnel {} (Istio {})\n", mesh::version::FAIRWAY, mesh::version::ISTIO);
    match std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
