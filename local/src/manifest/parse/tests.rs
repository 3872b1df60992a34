use super::*;

fn error(text: &str) -> String {
    parse("a.yaml", text, "default").unwrap_err().to_string()
}

#[test]
fn errors_name_file_document_object_and_field() {
    let check = |text: &str, expect: &str| {
        let error = error(text);
        assert!(error.contains(expect), "{text}\nexpected {expect}\ngot      {error}");
    };
    check("kind: Pod\nmetadata: {name: a}", "a.yaml (document 1): Pod: apiVersion: is required");
    check("apiVersion: v1\nkind: Pod", "a.yaml (document 1): Pod: metadata: is required");
    check("apiVersion: v1\nkind: Pod\nmetadata: {}", "Pod: metadata.name: is required");
    check("apiVersion: v1\nmetadata: {name: a}", "a.yaml (document 1): kind: is required");
    check("[1, 2]", "a.yaml (document 1): : expected an object");
    check("a: [", "a.yaml: ");
    check(
        "# nothing\n---\napiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: shop}\nspec: {ports: [{port: x}]}",
        "a.yaml (document 1): Service shop/s: spec.ports[0].port: invalid type: string \"x\"",
    );
    check(
        "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {prots: []}",
        "Service default/s: spec.prots: unknown field",
    );
    check(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec: {selector: {}, template: {spec: {containers: \
         [{name: c, image: i, evn: []}]}}}",
        "Deployment default/d: spec.template.spec.containers.0.evn: unknown field",
    );
    check(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: g}\nspec: {gatewayClassName: c, \
         listeners: [{name: mesh, port: x, protocol: HBONE}]}",
        "Gateway default/g: spec.listeners[0].port: invalid type",
    );
    check("apiVersion: v1\nkind: List\nitems: 1", "items: a List needs an array");
    check("apiVersion: v1\nkind: List\nitems: [{kind: Pod}]", "items[0]: Pod: apiVersion: is required");
}

#[test]
fn objects_get_their_namespace_by_scope() {
    let text = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: \
                {name: c}\n---\napiVersion: v1\nkind: List\nitems:\n- {apiVersion: security.istio.io/v1, kind: \
                AuthorizationPolicy, metadata: {name: p, namespace: other}}\n---\n# end\n";
    let objects = parse("a.yaml", text, "mine").unwrap();
    let keys: Vec<_> = objects.iter().map(|(origin, o)| format!("{} {}", origin.document, o.key)).collect();
    assert_eq!(keys, ["1 Namespace shop", "2 ConfigMap mine/c", "3 AuthorizationPolicy other/p"]);
    assert_eq!(objects[1].1.str("/metadata/namespace"), "mine");
    assert_eq!(objects[0].1.json.pointer("/metadata/namespace"), None);
}

#[test]
fn scalars_keep_their_yaml_types() {
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: '1', b: \"true\", c: |\n  two\n  lines\n}";
    let objects = parse("a.yaml", &text.replace("c: |\n  two\n  lines\n", "c: \"x\\ny\""), "d").unwrap();
    assert_eq!(objects[0].1.str("/data/a"), "1");
    assert_eq!(objects[0].1.str("/data/c"), "x\ny");
}

#[test]
fn folders_are_read_in_order() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["b.yaml", "a.yml", "c.txt"] {
        std::fs::write(folder.path().join(name), "").unwrap();
    }
    let names: Vec<_> = files(folder.path())
        .unwrap()
        .iter()
        .map(|f| f.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(names, ["a.yml", "b.yaml"]);
    assert!(files(&folder.path().join("none")).unwrap_err().to_string().contains("No such file"));
}

#[test]
fn a_file_may_hold_thousands_of_objects() {
    let one = |n| {
        format!(
            "{{apiVersion: v1, kind: Service, metadata: {{name: s{n}}}, spec: {{ports: [{{port: 80}}]}}}}"
        )
    };
    let text: Vec<_> = (0..5000).map(one).collect();
    let objects = parse("many.yaml", &text.join("\n---\n"), "default").unwrap();
    assert_eq!(objects.len(), 5000);
}
