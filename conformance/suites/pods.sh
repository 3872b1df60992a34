#!/usr/bin/env bash
# A pod's life as the API promises it: the suites stand on a node agent of our own, and this is what it is held to.
# Run by `fairway-conformance run pods`, inside the first node. Pods are on both nodes.
set -euo pipefail
source "$(dirname "$0")/check.sh"
ns=pods
k() { kubectl -n $ns "$@"; }
trap 'kubectl delete namespace $ns --ignore-not-found --wait=false >/dev/null' EXIT
field() { k get pod "$1" -o jsonpath="$2"; }
is() { [ "$(field "$1" "$2")" = "$3" ]; }
at_least() { [ "$(field "$1" "$2")" -ge "$3" ]; }
ready() { is "$1" '{.status.conditions[?(@.type=="Ready")].status}' "$2"; }
holds() { [ "$(k exec "$1" -- cat "$2")" = "$3" ]; }
absent() { k exec "$1" -- test ! -e "$2"; }
restarts='{.status.containerStatuses[0].restartCount}'

pod() { # NAME NODE SPEC: a pod whose spec goes on with SPEC, indented by two
  printf -- '---\napiVersion: v1\nkind: Pod\nmetadata: {name: %s, labels: {colour: red}}\nspec:\n  nodeName: %s\n%s\n' "$1" "$2" "$3"
}
sh() { # NAME SCRIPT: a container that runs a shell script
  printf '  - name: %s\n    image: busybox\n    command: [sh, -c, %s]\n' "$1" "$(printf '%s' "$2" | sed "s/'/''/g; s/^/'/; s/\$/'/")"
}

kubectl delete namespace $ns --ignore-not-found # of a run that was cut short
kubectl create namespace $ns
k create configmap sourced --from-literal=a=1 --from-literal=b=2
k create secret generic hidden --from-literal=s=1
{
  pod init node1 "  volumes: [{name: v, emptyDir: {}}]
  initContainers:
$(sh first 'echo first >>/v/order')
    volumeMounts: [{name: v, mountPath: /v}]
$(sh second 'test -e /v/tried || { touch /v/tried; exit 3; }; echo second >>/v/order')
    volumeMounts: [{name: v, mountPath: /v}]
$(sh aside 'echo aside >>/v/order; exec sleep 600')
    restartPolicy: Always
    volumeMounts: [{name: v, mountPath: /v}]
  containers:
$(sh main 'echo main >>/v/order; exec sleep 600')
    volumeMounts: [{name: v, mountPath: /v}]"
  pod slow node2 "  terminationGracePeriodSeconds: 1
  containers:
$(sh main 'sleep 4; touch /up; exec sleep 600')
    startupProbe: {exec: {command: [test, -e, /up]}, periodSeconds: 1, failureThreshold: 20}
    livenessProbe: {exec: {command: [test, -e, /up]}, periodSeconds: 1, failureThreshold: 1}"
  pod never-up node1 "  terminationGracePeriodSeconds: 1
  containers:
$(sh main 'echo trying; exec sleep 600')
    startupProbe: {exec: {command: ['false']}, periodSeconds: 1, failureThreshold: 2}"
  pod unhealthy node2 "  terminationGracePeriodSeconds: 5
  containers:
$(sh main 'trap "echo asked to end; exit 0" TERM; echo begun; while :; do sleep 0.2; done')
    livenessProbe: {exec: {command: [sh, -c, 'test ! -e /sick']}, periodSeconds: 1, failureThreshold: 1}"
  pod grpc node1 "  containers:
  - name: echo
    image: gateway-api/echo-advanced
    args: ['--port=8080', '--grpc=7070']
    ports: [{name: web, containerPort: 8080}]
    startupProbe: {tcpSocket: {port: web}, periodSeconds: 1}
    readinessProbe: {grpc: {port: 7070}, periodSeconds: 1}
    livenessProbe: {httpGet: {port: web, path: /}, periodSeconds: 1}"
  pod crashing node1 "  containers:
$(sh main 'echo life; sleep 987654 & exit 7')"
  pod shown node2 "  terminationGracePeriodSeconds: 1
  volumes:
  - {name: c, configMap: {name: sourced}}
  - {name: s, secret: {secretName: hidden}}
  - {name: d, downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}
  - {name: p, projected: {sources: [{configMap: {name: sourced, items: [{key: a, path: x/a}]}}, {downwardAPI: {items: [{path: note, fieldRef: {fieldPath: \"metadata.annotations['note']\"}}]}}, {serviceAccountToken: {path: token}}]}}
  containers:
$(sh main 'exec sleep 600')
    volumeMounts: [{name: c, mountPath: /c}, {name: s, mountPath: /s}, {name: d, mountPath: /d}, {name: p, mountPath: /p}]"
  for node in node1 node2; do
    pod ending-$node $node "  terminationGracePeriodSeconds: 20
  volumes: [{name: h, hostPath: {path: /var/tmp/pods-suite, type: DirectoryOrCreate}}]
  containers:
$(sh main 'trap "echo term >>/h/story; exit 0" TERM; while :; do sleep 0.1; done')
    volumeMounts: [{name: h, mountPath: /h}]
    lifecycle:
      postStart: {exec: {command: [sh, -c, 'echo postStart >/h/story']}}
      preStop: {exec: {command: [sh, -c, 'sleep 1; echo preStop >>/h/story']}}"
    pod reader-$node $node "  terminationGracePeriodSeconds: 1
  volumes: [{name: h, hostPath: {path: /var/tmp/pods-suite, type: DirectoryOrCreate}}]
  containers:
$(sh main 'exec sleep 600')
    volumeMounts: [{name: h, mountPath: /h}]"
    pod stubborn-$node $node "  terminationGracePeriodSeconds: 60
  containers:
$(sh main 'trap "" TERM; echo up; while :; do sleep 0.1; done')"
  done
} | k apply -f -

say "init containers"
check "ran one after the other, the failing one twice, the sidecar before the main one" holds init /v/order $'first\nsecond\naside\nmain'
check "the failing one counts a restart" is init '{.status.initContainerStatuses[1].restartCount}' 1

say "probes"
check "a slow start is not ready" ready slow False
check "and is, once up, without a restart" ready slow True
check "no liveness probe before that" is slow "$restarts" 0
check "a start that fails for good is ended and tried again" at_least never-up "$restarts" 1
check "gRPC, and TCP and HTTP by a port's name" ready grpc True
check "healthy at first" ready unhealthy True
k exec unhealthy -- touch /sick
check "a failing liveness probe restarts it" at_least unhealthy "$restarts" 1
check "after SIGTERM" grep -q 'asked to end' <(k logs unhealthy --previous)

say "restarts"
check "a dying container is started again and again" at_least crashing "$restarts" 3
check "with waits between" is crashing '{.status.containerStatuses[0].state.waiting.reason}' CrashLoopBackOff
check "its exit status is told" is crashing '{.status.containerStatuses[0].lastState.terminated.exitCode}' 7

none_left() { ! pgrep -fx 'sleep 987654'; }
check "what it left running is ended" none_left

say "logs"
one_life() { [ "$(k logs crashing)" = life ] && [ "$(k logs crashing --previous)" = life ]; }
check "are a life's own, the one before too" one_life
stamped() { k logs crashing --timestamps | grep -Eq '^20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z life$'; }
check "with timestamps" stamped
tailed() { k exec reader-node1 -- true; [ "$(k logs ending-node1 --tail=0)" = "" ]; }
check "with --tail" tailed
check "with --follow, which ends with the life" timeout 30 kubectl -n $ns logs -f crashing
none_before() { ! k logs slow --previous; }
check "there is no previous one of a first life" none_before

say "exec and port-forward, on both nodes"
for node in node1 node2; do
  through() { [ "$(echo in | k exec -i reader-$node -- sh -c 'cat; hostname')" = $'in\nreader-'$node ]; }
  check "exec with input on $node" through
  code() { local c=0; k exec reader-$node -- sh -c 'exit 9' || c=$?; [ $c = 9 ]; }
  check "exit status on $node" code
done
k run web2 --image=gateway-api/echo-basic --overrides='{"spec":{"nodeName":"node2","terminationGracePeriodSeconds":1}}'
check "a pod of node2 to forward to" ready web2 True
forwarded() { # POD PORT
  k port-forward "pod/$1" 18080:"$2" >/dev/null & local p=$! c=0
  curl -s --retry 20 --retry-connrefused --retry-delay 1 -o /dev/null http://127.0.0.1:18080/ || c=$?
  kill $p; wait $p 2>/dev/null || true
  return $c
}
check "port-forward to node1" forwarded grpc 8080
check "port-forward to node2" forwarded web2 3000

say "volumes"
check "a token" k exec shown -- test -s /p/token
check "labels" k exec shown -- grep -qx 'colour="red"' /d/labels
k create configmap sourced --from-literal=a=3 --dry-run=client -o yaml | k replace -f -
k create secret generic hidden --from-literal=s=4 --dry-run=client -o yaml | k replace -f -
k label pod shown colour=blue --overwrite
k annotate pod shown note=new
check "a changed ConfigMap" holds shown /c/a 3
check "in a projected volume" holds shown /p/x/a 3
check "a key that is gone" absent shown /c/b
check "a changed Secret" holds shown /s/s 4
check "changed labels" k exec shown -- grep -qx 'colour="blue"' /d/labels
check "changed annotations" holds shown /p/note new
check "the token is still there" k exec shown -- test -s /p/token

say "the end"
for node in node1 node2; do
  check "postStart on $node" holds reader-$node /h/story postStart
  check "it runs on $node" ready ending-$node True
  begin=$SECONDS
  k delete pod ending-$node
  check "delete on $node runs preStop, then sends SIGTERM" holds reader-$node /h/story $'postStart\npreStop\nterm'
  check "and does not wait for the grace to pass" test $((SECONDS - begin)) -lt 15
  begin=$SECONDS
  k delete pod stubborn-$node --grace-period=2
  check "a pod that ignores SIGTERM is killed after its grace on $node" test $((SECONDS - begin)) -ge 2 -a $((SECONDS - begin)) -lt 20
done
gone() { ! k get pod "$1"; }
check "nothing of it stays" gone stubborn-node1
k delete pod shown --force --grace-period=0
check "by force" gone shown
exit $failed
