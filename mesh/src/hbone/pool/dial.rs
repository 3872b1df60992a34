//! Makes one connection: certificate, TCP, TLS, HTTP/2.

use crate::hbone::client::{Connection, Driver};
use crate::hbone::error::ConnectError;
use crate::hbone::pool::{Dial, PoolKey, PoolOptions};
use crate::secrets::SecretStore;
use crate::tls;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::time::timeout;

pub(super) async fn establish<D: Dial>(
    dial: &D,
    secrets: &SecretStore,
    options: &PoolOptions,
    key: &PoolKey,
) -> Result<(Connection, SocketAddr, Driver), ConnectError> {
    let identity = secrets.identity(&key.source).await.map_err(ConnectError::Identity)?;
    let tcp = match timeout(options.dial_timeout, dial.dial(key.remote, key.source_ip)).await {
        Ok(Ok(tcp)) => tcp,
        // The kernel's own limit may be the shorter one.
        Ok(Err(error)) if error.kind() == io::ErrorKind::TimedOut => return Err(ConnectError::DialTimeout),
        Ok(Err(error)) => return Err(ConnectError::Dial(Arc::new(error))),
        Err(_) => return Err(ConnectError::DialTimeout),
    };
    let local_addr = tcp.local_addr().map_err(|error| ConnectError::Dial(Arc::new(error)))?;
    tcp.set_nodelay(true).map_err(|error| ConnectError::Dial(Arc::new(error)))?;
    let stream = tls::connect(identity.client_config(&key.expected), key.remote.ip(), tcp)
        .await
        .map_err(|error| ConnectError::Tls(Arc::new(error)))?;
    let (connection, driver) = Connection::handshake(stream, &options.http2).await?;
    Ok((connection, local_addr, driver))
}
