use super::{Auth, TokenSource};
use crate::channel::ChannelError;
use std::io::Write;
use tonic::metadata::MetadataMap;

fn applied(auth: &Auth) -> Result<Vec<(String, String)>, ChannelError> {
    let mut metadata = MetadataMap::new();
    auth.apply(&mut metadata)?;
    let headers = metadata.into_headers();
    let mut pairs: Vec<_> = headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned()))
        .collect();
    pairs.sort();
    Ok(pairs)
}

#[test]
fn the_token_file_is_read_for_each_call() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let auth = Auth {
        token: TokenSource::File(file.path().to_owned()),
        cluster_id: "Kubernetes".into(),
        headers: vec![("X-Extra".into(), "1".into())],
    };
    for token in ["first", "second"] {
        file.as_file_mut().set_len(0).unwrap();
        std::fs::write(file.path(), format!("{token}\n")).unwrap();
        let pairs = applied(&auth).unwrap();
        let bearer = format!("Bearer {token}");
        let expect = [("authorization", bearer.as_str()), ("clusterid", "Kubernetes"), ("x-extra", "1")];
        assert_eq!(pairs, expect.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
    file.as_file_mut().set_len(0).unwrap();
    file.flush().unwrap();
    assert!(matches!(applied(&auth), Err(ChannelError::EmptyFile(_))));
}

#[test]
fn nothing_configured_sends_nothing() {
    assert_eq!(applied(&Auth::default()).unwrap(), []);
}

#[test]
fn what_cannot_be_sent_is_an_error_that_shows_no_value() {
    let missing = Auth { token: TokenSource::File("/nonexistent/token".into()), ..Auth::default() };
    assert!(matches!(applied(&missing), Err(ChannelError::File { .. })));
    let broken = Auth { token: TokenSource::Literal("se\ncret".into()), ..Auth::default() };
    let error = applied(&broken).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("cret"), "{error:?}");
    let header = Auth { headers: vec![("bad name".into(), "v".into())], ..Auth::default() };
    assert!(matches!(applied(&header), Err(ChannelError::Header(_))));
    assert!(!format!("{:?}", TokenSource::Literal("secret".into())).contains("secret"));
}
