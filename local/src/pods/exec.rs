//! A command in a running container, with the caller's own stdin, stdout and stderr.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};

use super::sandbox::Room;

#[derive(Debug)]
pub struct ExecRequest {
    /// `None`: the pod's first container.
    pub container: Option<String>,
    pub argv: Vec<String>,
    /// On top of the container's.
    pub env: Vec<(String, String)>,
    pub stdio: [OwnedFd; 3],
    pub working_dir: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    #[error("no container {0:?} in the pod")]
    Container(String),
    #[error("the pod has no container yet")]
    NotCreated,
    #[error("no command given")]
    Empty,
    #[error("{program}: {error}")]
    Start { program: String, error: io::Error },
}

/// Runs to the end; the exit code, or 128 + signal number. When the future is dropped the process is killed.
pub async fn run(room: &Room, request: ExecRequest) -> Result<i32, ExecError> {
    let (program, args) = request.argv.split_first().ok_or(ExecError::Empty)?;
    let start = |error| ExecError::Start { program: program.clone(), error };
    let [stdin, stdout, stderr] = request.stdio;
    let mut command =
        room.command(program, args, &request.env, request.working_dir.as_deref()).map_err(start)?;
    command.stdin(Stdio::from(stdin)).stdout(Stdio::from(stdout)).stderr(Stdio::from(stderr));
    let mut child = command.spawn().map_err(start)?;
    drop(command); // it holds the caller's end of the pipes open
    Ok(exit_code(child.wait().await.map_err(start)?))
}

/// As a shell and a container runtime tell it.
#[must_use]
pub fn exit_code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}
