//! The sniffer on a pod's link.

use std::time::Duration;

use anyhow::{Context, ensure};
use fairway::pods::capture::{CaptureRequest, capture};

use crate::lab::{A, B, at, greeter, greeting};
use crate::lifecycle::{Place, pod, sh};

pub(crate) async fn sees_plain_text() -> anyhow::Result<()> {
    let place = Place::new().await?;
    let web = place.create(pod(vec![sh("sleep 60")])).await?;
    let client = crate::lab::pod(&place.network, B).await?;
    greeter(web.netns().context("its namespace")?, 8080, "a-secret")?;
    let veth = web.veth().context("its link")?.to_owned();
    let needles = vec![b"a-secret".to_vec(), b"never said".to_vec()];
    let request = CaptureRequest { duration: Duration::from_secs(1), needles };
    let node = place.network.ns().clone();
    let watching = tokio::spawn(async move { capture(&node, &veth, &request).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    for _ in 0..3 {
        greeting(&client, at(A, 8080))?;
    }
    let report = watching.await??;
    let port = report.ports.get(&8080).context("nothing on port 8080")?;
    ensure!(port.packets >= 9 && port.payload_bytes > 0, "{report:?}");
    ensure!(report.found == [3, 0], "{report:?}");
    web.stop().await;
    Ok(())
}
