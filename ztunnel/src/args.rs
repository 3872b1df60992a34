//! The command line: `ztunnel proxy ztunnel`, as istio's chart starts it; everything else is in the environment.

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "ztunnel", version = mesh::version::FAIRWAY, about = "L4 node proxy for Istio ambient mesh")]
pub struct Args {
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the proxy (the default).
    Proxy {
        /// Always `ztunnel`; later flags of other releases are accepted and have no effect.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        role: Vec<String>,
    },
    /// Print the versions.
    Version,
}
