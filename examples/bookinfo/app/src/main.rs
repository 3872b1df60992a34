//! `bookinfo`: the four programs of Istio's sample in one binary, an echo server, and a load client.
//!
//! Same paths, JSON shapes, environment variables and forwarded headers as `samples/bookinfo` of Istio, so that
//! its manifests and tasks apply unchanged. Not a copy of its databases: ratings are kept in memory.

mod details;
mod echo;
mod load;
mod productpage;
mod ratings;
mod reply;
mod reviews;
mod server;
mod upstream;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "bookinfo", version, about = "Istio's Bookinfo sample, an echo server and a load client")]
struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// The front end: calls details and reviews
    Productpage(Listen),
    /// Facts about the book
    Details(Listen),
    /// Stars; SERVICE_VERSION v-faulty, v-delayed, v-unavailable and v-unhealthy misbehave
    Ratings(Listen),
    /// Reviews; ENABLE_RATINGS and STAR_COLOR decide whether ratings is asked
    Reviews(Listen),
    /// Answers any request with what it saw; /status/N and /delay/MS do as they say
    Serve(Listen),
    /// Sends requests and prints one JSON line with the outcome
    Load(load::LoadArgs),
}

#[derive(clap::Args)]
struct Listen {
    #[arg(long, default_value_t = 9080)]
    port: u16,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let (service, port) = match Args::parse().verb {
        Verb::Load(args) => return load::run(args).await,
        Verb::Productpage(l) => (server::Service::Productpage(productpage::Productpage::from_env()), l.port),
        Verb::Details(l) => (server::Service::Details, l.port),
        Verb::Ratings(l) => (server::Service::Ratings(ratings::Ratings::from_env()), l.port),
        Verb::Reviews(l) => (server::Service::Reviews(reviews::Reviews::from_env()), l.port),
        Verb::Serve(l) => (server::Service::Echo(echo::Echo::from_env()), l.port),
    };
    server::run(service, port).await
}
