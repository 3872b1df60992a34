use super::*;

#[test]
fn names_come_back_as_they_were_spelt() {
    let sent = b"\r\nGET /A:B HTTP/1.1\r\nHost: H\r\nX-MiXeD: V:W\r\nplain: P\r\n\r\n";
    let case = HeaderCase::of(sent);
    for (name, expect) in
        [("x-mixed", "X-MiXeD"), ("host", "Host"), ("plain", "plain"), ("x-other", "x-other")]
    {
        assert_eq!(case.spell(name), expect);
    }
    let mut head = *b"GET /x-mixed: HTTP/1.1\r\nx-mixed: host: V\r\nhost: h\r\nx-mix: x\r\n\r\n";
    case.restore(&mut head);
    assert_eq!(&head, b"GET /x-mixed: HTTP/1.1\r\nX-MiXeD: host: V\r\nHost: h\r\nx-mix: x\r\n\r\n");
}

#[test]
fn nothing_to_remember() {
    assert_eq!(HeaderCase::of(b"GET /A HTTP/1.1\r\nhost: H\r\n\r\n"), HeaderCase::default());
    assert_eq!(HeaderCase::of(b""), HeaderCase::default());
}
