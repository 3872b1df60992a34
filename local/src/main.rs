//! `fairway`: an Istio ambient mesh on this machine. See `fairway::cli`.

fn main() -> std::process::ExitCode {
    fairway::cli::main()
}
