use super::*;
use crate::translate::tests::outcome;

#[test]
fn what_is_understood() {
    let ok = "ok";
    let cases = [
        ("request.host", ok, 0),
        ("string(destination.port)", ok, 0),
        ("response.code >= 400 || connection.mtls == false", ok, 0),
        ("connection.mtls && request.url_path.contains('v1beta3')", ok, 0),
        ("has(response.code) ? string(response.code) : 'none'", ok, 0),
        ("request.headers['x-tenant'] == 'a' && 'x' in request.headers", ok, 0),
        ("filter_state['downstream_peer'].workload", ok, 0),
        ("upstream_peer.labels['app'].value", ok, 1),
        ("xds.node.metadata.NAMESPACE + node.id", ok, 0),
        ("metadata.filter_metadata['a']['b']", ok, 0),
        ("request['path']", ok, 0),
        ("type(request.path) == string", ok, 0),
        ("connection.tls_version", ok, 1),
        (
            "request.headers['x-tenant'] | 'none'",
            "unsupported unsupported_expression{request.headers['x-tenant'] | 'none': Syntax error: token recognition error at: '| '}",
            0,
        ),
        (
            "request.nope",
            "unsupported unsupported_expression{request.nope: unknown attribute request.nope}",
            0,
        ),
        (
            "request['nope']",
            "unsupported unsupported_expression{request['nope']: unknown attribute request.nope}",
            0,
        ),
        ("nope", "unsupported unsupported_expression{nope: unknown attribute nope}", 0),
        ("request.path.matches('^/a')", ok, 0),
        ("matches(request.path, '^/a')", ok, 0),
        (
            "request.path.matches(request.host)",
            "unsupported unsupported_expression{request.path.matches(request.host): its pattern is not a literal}",
            0,
        ),
        (
            "request.path.matches('(')",
            "unsupported unsupported_expression{request.path.matches('('): bad pattern}",
            0,
        ),
        ("nope(1)", "unsupported unsupported_expression{nope(1): unknown function nope}", 0),
        ("[1].all(x, x > 0)", "unsupported unsupported_expression{[1].all(x, x > 0): loops}", 0),
        ("a.B{c: 1}", "unsupported unsupported_expression{a.B{c: 1}: makes a message}", 0),
    ];
    for (text, expect, warned) in cases {
        let mut warnings = Warnings::default();
        assert_eq!(outcome(expression(text, &mut warnings)), expect, "{text}");
        assert_eq!(warnings.into_list().len(), warned, "{text}");
    }
}

/// Configuration may be anything; reading it must end, and without taking the stack.
#[test]
fn hostile_texts_are_refused() {
    let mut warnings = Warnings::default();
    for text in [
        "(".repeat(EXPRESSION_BYTES_MAX),
        "!".repeat(EXPRESSION_BYTES_MAX),
        "-".repeat(EXPRESSION_BYTES_MAX) + "1",
        "[".repeat(4000),
        "a.".repeat(4000),
        "1+".repeat(4000),
        "\u{0}".to_owned(),
        String::new(),
        "'".to_owned(),
        "request.path.".to_owned(),
        "x".repeat(EXPRESSION_BYTES_MAX + 1),
    ] {
        assert_ne!(outcome(expression(&text, &mut warnings)), "ok", "{}", &text[..text.len().min(20)]);
    }
}
