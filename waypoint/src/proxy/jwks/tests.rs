use super::*;

fn source(path: &str) -> Arc<RemoteJwks> {
    Arc::new(RemoteJwks {
        cluster: "keys".into(),
        authority: "issuer".into(),
        path: path.into(),
        timeout: Duration::from_secs(5),
        cache_duration: Duration::from_secs(300),
        refetch_after_failure: Duration::from_secs(1),
        retries: 0,
        back_off_base: Duration::ZERO,
        back_off_max: Duration::ZERO,
    })
}

fn far() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

#[tokio::test]
async fn a_request_waits_for_the_first_fetch_only() {
    let cache = Arc::new(JwksCache::default());
    let (one, other) = (source("/one"), source("/other"));
    let waiting = tokio::spawn({
        let (cache, one) = (cache.clone(), one.clone());
        async move { cache.known(&one, far()).await }
    });
    cache.set(&other, &Fetched::Failed);
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished(), "the keys of another source do not help");
    cache.set(&one, &Fetched::Keys(Arc::default()));
    waiting.await.unwrap();
    cache.known(&one, far()).await;
    assert!(matches!(cache.load().of(&one), Some(Fetched::Keys(_))));
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_ever() {
    let cache = JwksCache::default();
    cache.known(&source("/"), far()).await;
    assert!(cache.load().of(&source("/")).is_none());
}

#[test]
fn what_nothing_wants_is_forgotten() {
    let cache = JwksCache::default();
    let (one, other) = (source("/one"), source("/other"));
    cache.set(&one, &Fetched::Failed);
    cache.set(&other, &Fetched::Failed);
    cache.retain(&HashSet::from([one.clone()]));
    assert!(cache.load().of(&one).is_some() && cache.load().of(&other).is_none());
}
