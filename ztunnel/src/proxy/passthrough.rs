//! Plaintext that arrives at our pod from outside the mesh, captured on 15006: the policies are asked about a peer without
//! identity, and what they allow goes on to where it was going.

use crate::proxy::connections::{ConnectionView, Listed};
use crate::proxy::inbound::{authorize, connect_to_application};
use crate::proxy::outbound::destination_of;
use crate::proxy::pod::Pod;
use crate::proxy::relay::{Abort, relay};
use crate::rbac::Connection;
use crate::select::{inbound_service, is_own_port};
use crate::sockets::prepare;
use crate::state::NetworkAddress;
use crate::telemetry::{Direction, Ends, Failure, Record};
use std::net::{SocketAddr, TcpStream as StdStream};
use std::sync::Arc;
use std::time::Instant;
use tokio::net::TcpStream;
use tokio::sync::oneshot;

pub(super) async fn serve(pod: Arc<Pod>, stream: StdStream, client: SocketAddr) {
    let started = Instant::now();
    let _in_flight = pod.mesh.drain.guard();
    let mut stream = match prepare(stream) {
        Ok(stream) => stream,
        Err(error) => return tracing::debug!(%error, "client left before its connection was served"),
    };
    let mut ends = Ends {
        direction: Direction::Inbound,
        source: client,
        source_workload: None,
        source_identity: None,
        destination: client,
        hbone_target: None,
        destination_workload: None,
        destination_identity: None,
        service: None,
    };
    let opened = tokio::select! {
        opened = open(&pod, &stream, &mut ends) => opened,
        () = pod.is_gone.started() => Err(Failure::PodGone),
    };
    let record = Record::new(ends, &pod.mesh.metrics, started);
    match opened {
        Ok((upstream, _listed, revoked)) => relay(&pod, (stream, upstream), record, Some(revoked)).await,
        Err(failure) => {
            record.finish(Err(&failure));
            stream.abort();
        }
    }
}

async fn open(
    pod: &Pod,
    stream: &TcpStream,
    ends: &mut Ends,
) -> Result<(TcpStream, Listed, oneshot::Receiver<()>), Failure> {
    let destination = destination_of(stream).map_err(Failure::OriginalDestination)?;
    ends.destination = destination;
    if is_own_port(destination.port()) {
        return Err(Failure::SelfCall);
    }
    let workload = pod.workload().await?;
    {
        let snapshot = pod.mesh.store.load();
        let source = NetworkAddress { network: workload.network.clone(), ip: ends.source.ip() };
        ends.source_workload = snapshot.workload_by_address(&source).cloned();
        ends.service = inbound_service(&snapshot, &workload, None, destination.port()).cloned();
        ends.destination_workload = Some(workload.clone());
    }
    let connection = Connection { source: ends.source, identity: None, destination };
    let view = ConnectionView {
        inbound: true,
        source: ends.source,
        original_destination: Some(destination.to_string()),
        destination,
        hbone: false,
    };
    let (listed, revoked) = authorize(pod, &workload, view, connection).await?;
    let upstream = connect_to_application(pod, destination, Some(ends.source.ip())).await?;
    Ok((upstream, listed, revoked))
}
