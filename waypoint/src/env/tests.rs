use super::*;

#[test]
fn go_durations() {
    let table = [
        ("5s", Some(5_000)),
        ("1m30s", Some(90_000)),
        ("1.5s", Some(1_500)),
        ("24h0m0s", Some(86_400_000)),
        ("250ms", Some(250)),
        ("0s", Some(0)),
        ("", None),
        ("5", None),
        ("s", None),
        ("5x", None),
        ("-5s", None),
    ];
    for (text, millis) in table {
        assert_eq!(go_duration(text), millis.map(Duration::from_millis), "{text}");
    }
}

#[test]
fn downward_api_lines_are_unquoted() {
    let text = "app=\"reviews\"\nnote=\"a \\\"b\\\" c=d\"\n\nbroken\nplain=x\n";
    let expect = [("app", "reviews"), ("note", "a \"b\" c=d"), ("plain", "x")];
    let expect: Vec<_> = expect.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    assert_eq!(downward_api(text), expect);
}
