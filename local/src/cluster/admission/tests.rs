use super::*;

fn now() -> Now {
    Now { time: chrono::DateTime::UNIX_EPOCH, chance: 7 }
}

fn store() -> Store {
    let mut store = Store::default();
    store.put(Object::ours(&NAMESPACE, "", "n", json!({})));
    store
}

fn object(text: &str) -> Object {
    let parsed = crate::manifest::parse::parse("t.yaml", text, "n").unwrap();
    parsed.into_iter().next().unwrap().1
}

const SVC: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: ";
const DEPLOY: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec: ";

#[test]
fn refusals_name_the_field() {
    let check = |text: String, expect: &str| {
        let error = admit(object(&text), &store(), &mut Pool::services(), &mut now()).unwrap_err();
        assert_eq!(error.to_string(), expect, "{text}");
    };
    check(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: x}".to_owned(),
        "metadata.namespace: namespace \"x\" not found",
    );
    check(
        format!("{SVC}{{clusterIP: 10.1.1.1}}"),
        "spec.clusterIP: 10.1.1.1 is not in the range 10.96.0.10 to 10.96.255.254",
    );
    check(format!("{DEPLOY}{{selector: {{}}, template: {{}}}}"), "spec.selector.matchLabels: is required");
    check(
        format!(
            "{DEPLOY}{{selector: {{matchLabels: {{a: b}}}}, template: {{metadata: {{labels: {{a: c}}}}}}}}"
        ),
        "spec.template.metadata.labels: `selector` does not match template `labels`",
    );
}

#[test]
fn a_service_gets_an_address_and_keeps_it() {
    let (mut store, mut vips, mut now) = (store(), Pool::services(), now());
    let first =
        admit(object(&format!("{SVC}{{ports: [{{port: 80}}]}}")), &store, &mut vips, &mut now).unwrap();
    assert_eq!(first.str("/spec/clusterIP"), "10.96.0.10");
    assert_eq!(first.json["spec"]["ports"][0], json!({"port": 80, "protocol": "TCP", "targetPort": 80}));
    store.put(first.clone());
    store.edit(&first.key, |o| o.json["status"] = json!({"kept": true}));
    let again =
        admit(object(&format!("{SVC}{{ports: [{{port: 81}}]}}")), &store, &mut vips, &mut now).unwrap();
    assert_eq!(again.str("/spec/clusterIP"), "10.96.0.10");
    assert_eq!((again.uid(), &again.json["status"]), (first.uid(), &json!({"kept": true})));
    assert_eq!(again.json["metadata"]["generation"], 2);
    let moved =
        admit(object(&format!("{SVC}{{clusterIP: 10.96.0.99}}")), &store, &mut vips, &mut now).unwrap_err();
    assert_eq!(moved.to_string(), "spec.clusterIP: field is immutable");
}

#[test]
fn headless_and_external_services_get_none() {
    let check = |spec: &str, expect: &str| {
        let service =
            admit(object(&format!("{SVC}{spec}")), &store(), &mut Pool::services(), &mut now()).unwrap();
        assert_eq!(service.str("/spec/clusterIP"), expect, "{spec}");
    };
    check("{clusterIP: None}", "None");
    check("{type: ExternalName, externalName: a.b}", "");
}

#[test]
fn a_restart_survives_apply() {
    let text = format!(
        "{DEPLOY}{{selector: {{matchLabels: {{a: b}}}}, template: {{metadata: {{labels: {{a: b}}}}}}}}"
    );
    let (mut store, mut vips, mut now) = (store(), Pool::services(), now());
    let mut first = admit(object(&text), &store, &mut vips, &mut now).unwrap();
    assert_eq!(first.json["spec"]["replicas"], 1);
    first.json["spec"]["template"]["metadata"]["annotations"][RESTARTED_AT] = "then".into();
    store.put(first);
    let again = admit(object(&text), &store, &mut vips, &mut now).unwrap();
    assert_eq!(again.json["spec"]["template"]["metadata"]["annotations"][RESTARTED_AT], "then");
}
