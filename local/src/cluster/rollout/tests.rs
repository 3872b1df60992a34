use super::*;

/// `a` old, `A` current; `+` ready, `-` not ready, `x` terminating.
fn members(text: &str) -> Vec<Member> {
    text.split_whitespace()
        .map(|word| {
            let (name, state) = word.split_at(1);
            let current = name.chars().all(char::is_uppercase);
            Member { name: name.to_owned(), current, ready: state == "+", terminating: state == "x" }
        })
        .collect()
}

fn show(steps: &[Step]) -> String {
    let word = |step: &Step| match step {
        Step::Create => "create".to_owned(),
        Step::CreateOrdinal(i) => format!("create {i}"),
        Step::Delete(name) => format!("delete {name}"),
    };
    steps.iter().map(word).collect::<Vec<_>>().join(", ")
}

#[test]
fn rolling_steps() {
    let check = |replicas, pods: &str, expect: &str| {
        assert_eq!(show(&rolling(replicas, &members(pods))), expect, "{replicas} wanted of {pods}");
    };
    check(3, "", "create, create, create");
    check(1, "A-", "");
    check(1, "A+", "");
    check(1, "A x", "");
    check(1, "Ax", "create");
    // An update of one replica: a second pod first, the old one only when it is ready.
    check(1, "a+", "create");
    check(1, "a+ A-", "");
    check(1, "a+ A+", "delete a");
    check(1, "ax A+", "");
    // An old pod that never became ready waits for the new one as well.
    check(1, "a- A-", "");
    check(1, "a- A+", "delete a");
    // Three replicas: one at a time.
    check(3, "a+ b+ c+", "create");
    check(3, "a+ b+ c+ A-", "");
    check(3, "a+ b+ c+ A+", "delete a");
    check(3, "ax b+ c+ A+", "create");
    check(3, "b+ c- A+", "create");
    check(3, "b+ c- A+ B-", "");
    check(3, "b+ c- A+ B+", "delete c");
    // Scaling.
    check(3, "A+", "create, create");
    check(1, "A+ B- C+", "delete B, delete C");
    check(0, "a+ A+ B-", "delete a, delete B, delete A");
}

#[test]
fn an_update_never_has_too_few_ready_pods() {
    for replicas in 1..5 {
        let mut pods: Vec<Member> = (0..replicas)
            .map(|i| Member { name: format!("old{i}"), current: false, ready: true, terminating: false })
            .collect();
        for round in 0..100 {
            for step in rolling(replicas, &pods) {
                match step {
                    Step::Delete(name) => pods.retain(|p| p.name != name),
                    _ => pods.push(Member {
                        name: format!("new{round}"),
                        current: true,
                        ready: false,
                        terminating: false,
                    }),
                }
            }
            assert!(pods.iter().filter(|p| p.ready).count() >= replicas, "{replicas}: {pods:?}");
            assert!(pods.len() <= replicas + 1, "{replicas}: {pods:?}");
            if let Some(pod) = pods.iter_mut().find(|p| !p.ready) {
                pod.ready = true;
            }
        }
        assert!(pods.len() == replicas && pods.iter().all(|p| p.current), "{replicas}: {pods:?}");
    }
}

#[test]
fn ordered_steps() {
    let check = |replicas, parallel, pods: &str, expect: &str| {
        let ordinals: Vec<_> =
            pods.split_whitespace().map(|word| members(word).pop().filter(|m| m.name != "_")).collect();
        assert_eq!(show(&ordered(replicas, parallel, &ordinals)), expect, "{replicas} wanted of {pods}");
    };
    check(3, false, "", "create 0");
    check(3, true, "", "create 0, create 1, create 2");
    check(3, false, "A-", "");
    check(3, false, "A+", "create 1");
    check(3, false, "A+ _ C+", "create 1");
    check(2, false, "A+ B+ C+ D+", "delete D");
    check(2, false, "A+ B+ C+ Dx", "");
    check(2, true, "A+ B+ C+ D+", "delete D, delete C");
    check(3, false, "a+ b+ c+", "delete c");
    check(3, false, "a+ b+ cx", "");
    check(3, false, "a+ b+ C-", "");
    check(3, false, "a+ b+ C+", "delete b");
    check(1, false, "a-", "delete a");
}
