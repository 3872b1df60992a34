use super::shutdown_signal;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::Duration;

/// One test for both: signals are the process's, and tests run side by side.
#[tokio::test]
async fn the_first_signal_is_named() {
    for (signal, name) in [(Signal::SIGTERM, "SIGTERM"), (Signal::SIGINT, "SIGINT")] {
        let asked = shutdown_signal().unwrap();
        kill(Pid::this(), signal).unwrap();
        assert_eq!(tokio::time::timeout(Duration::from_secs(20), asked).await.unwrap(), name);
    }
}
