//! Follows the revocation list file (ConfigMap `istio-ca-crl`).
//!
//! Polled, not watched: kubelet swaps a symbolic link two directories up, and a minute's delay is far below kubelet's own.

use crate::channel::read_bounded;
use crate::limits;
use crate::secrets::StoreOptions;
use crate::tls::{RevocationLists, TlsOptions};
use std::path::Path;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::sleep;

/// What handshakes are to check, as it is now and as it changes.
pub(super) fn follow(runtime: &Handle, options: StoreOptions) -> watch::Receiver<TlsOptions> {
    let StoreOptions { trust_domain_aliases, crl } = options;
    let mut file = crl.map(|path| File { path: path.into(), last: None });
    let revoked = file.as_mut().and_then(File::changed).unwrap_or_default();
    let (sender, receiver) = watch::channel(TlsOptions { trust_domain_aliases, revoked });
    if let Some(mut file) = file {
        runtime.spawn(async move {
            loop {
                tokio::select! {
                    () = sleep(limits::CRL_POLL) => {}
                    () = sender.closed() => return,
                }
                if let Some(revoked) = file.changed() {
                    sender.send_modify(|options| options.revoked = revoked);
                }
            }
        });
    }
    receiver
}

struct File {
    path: Box<Path>,
    /// Contents when last looked at; `None` for no file.
    last: Option<Vec<u8>>,
}

impl File {
    /// The lists, if the file changed and holds lists.
    fn changed(&mut self) -> Option<Arc<RevocationLists>> {
        let bytes = read_bounded(&self.path, limits::CREDENTIAL_FILE).ok();
        if bytes == self.last {
            return None;
        }
        self.last = bytes;
        match RevocationLists::parse(self.last.as_deref().unwrap_or_default()) {
            Ok(lists) => Some(Arc::new(lists)),
            Err(error) => {
                tracing::error!(path = %self.path.display(), %error, "the revocation lists before it stay in force");
                None
            }
        }
    }
}
