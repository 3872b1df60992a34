//! From this machine's browser into the mesh: a connection to 127.0.0.1:PORT is dialled on from inside the `ingress` pod.
//!
//! The listening socket belongs to the caller's network and is inherited; the dialling happens in the pod's network
//! namespace, so ztunnel captures it like any client's. Not a Gateway: no HTTP is looked at.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::cluster::Store;
use crate::limits::INGRESS_CONNECTIONS_MAX;
use crate::manifest::Object;
use crate::manifest::kinds::SERVICE;
use crate::node::netns::NetNs;

/// Marks the Service that the ingress leads to. Its value may name a port.
pub const ANNOTATION: &str = "fairway.dev/ingress";
/// The Service that is chosen when none is marked: Bookinfo's front end.
const DEFAULT_SERVICE: &str = "productpage";
const DIAL_DEADLINE: Duration = Duration::from_secs(10);

/// Through which pod, and where to.
#[derive(Debug)]
pub struct Way {
    pub pod: Arc<NetNs>,
    pub to: SocketAddrV4,
}

/// The Service the ingress leads to, and the port.
#[must_use]
pub fn target(store: &Store) -> Option<SocketAddrV4> {
    let marked = |s: &&Object| s.annotation(ANNOTATION).is_some_and(|value| value != "false");
    let service = store
        .of_kind(&SERVICE)
        .find(marked)
        .or_else(|| store.of_kind(&SERVICE).find(|s| s.key.name == DEFAULT_SERVICE))?;
    let address: Ipv4Addr = service.str("/spec/clusterIP").parse().ok()?;
    let wanted = service.annotation(ANNOTATION).filter(|value| *value != "true");
    let ports = service.array("/spec/ports");
    let named = |name: &str| {
        ports.iter().find(|p| p["name"] == name || p["port"].as_u64().is_some_and(|n| n.to_string() == name))
    };
    let port = match wanted {
        Some(name) => named(name),
        None => named("http").or_else(|| ports.first()),
    };
    let number = port?["port"].as_u64().and_then(|n| u16::try_from(n).ok())?;
    Some(SocketAddrV4::new(address, number))
}

/// Leads connections on for ever.
pub async fn serve(listener: TcpListener, way: Arc<ArcSwapOption<Way>>) {
    let places = Arc::new(Semaphore::new(INGRESS_CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let way = way.load_full();
                tokio::spawn(async move {
                    lead(stream, way).await;
                    drop(place);
                });
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn lead(mut from: TcpStream, way: Option<Arc<Way>>) {
    let Some(way) = way else { return refuse(from, "no service to lead to yet").await };
    let dial = move || way.pod.tcp_connect(SocketAddr::V4(way.to), DIAL_DEADLINE);
    let dialled = match tokio::task::spawn_blocking(dial).await {
        Ok(Ok(stream)) => stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream)),
        Ok(Err(error)) => Err(error),
        Err(error) => Err(std::io::Error::other(error)),
    };
    match dialled {
        Ok(mut to) => {
            let _ = from.set_nodelay(true).and_then(|()| to.set_nodelay(true)); // slower, not wrong
            // Either side's failure is for the other to see.
            let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
        }
        Err(error) => refuse(from, &format!("the service cannot be reached: {error}")).await,
    }
}

/// The caller is a browser or curl, so it is told in HTTP.
async fn refuse(mut stream: TcpStream, why: &str) {
    let body = format!("fairway: {why}\n");
    let head = "HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain\r\nconnection: close\r\ncontent-length: ";
    let _ = stream.write_all(format!("{head}{}\r\n\r\n{body}", body.len()).as_bytes()).await; // or it went away
    let _ = stream.shutdown().await;
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_marked_service_is_chosen() {
        let check = |services: &[(&str, Value)], expect: Option<&str>| {
            let mut store = Store::default();
            for (number, (name, annotations)) in services.iter().enumerate() {
                store.put(Object::ours(
                    &SERVICE,
                    "n",
                    name,
                    json!({"metadata": {"annotations": annotations}, "spec": {"clusterIP": format!("10.96.0.{}", 10 + number),
                        "ports": [{"name": "grpc", "port": 90}, {"name": "http", "port": 80}]}}),
                ));
            }
            assert_eq!(target(&store).map(|t| t.to_string()).as_deref(), expect, "{services:?}");
        };
        check(&[], None);
        check(&[("other", json!({}))], None);
        check(&[("other", json!({})), ("productpage", json!({}))], Some("10.96.0.11:80"));
        check(&[("productpage", json!({})), ("shop", json!({ANNOTATION: "true"}))], Some("10.96.0.11:80"));
        check(&[("shop", json!({ANNOTATION: "grpc"}))], Some("10.96.0.10:90"));
        check(&[("shop", json!({ANNOTATION: "90"}))], Some("10.96.0.10:90"));
        check(&[("shop", json!({ANNOTATION: "nothing"}))], None);
        check(&[("productpage", json!({ANNOTATION: "false"}))], None);
    }
}
