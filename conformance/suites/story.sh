#!/usr/bin/env bash
# Istio's Bookinfo as articles about ambient mode tell it: enrol, look, waypoint, 90/10, an L7 policy, and back out.
# Run by `fairway-conformance run story`, inside the first node: KUBECONFIG, kubectl, istioctl and Istio's samples in $SAMPLES are there.
set -euo pipefail
source "$(dirname "$0")/check.sh"
seen=$(mktemp)
get() { kubectl exec -n bookinfo deploy/curl -- curl -s -m 5 "$@"; }
status_is() { local want=$1; shift; [ "$(get -o /dev/null -w '%{http_code}' "$@")" = "$want" ]; }
page_has() { get productpage:9080/productpage | grep -q "$1"; }
workloads() { istioctl ztunnel-config workload --workload-namespace bookinfo; }
meshed() { [ "$(workloads | grep -c HBONE)" -ge 7 ]; }
behind_waypoint() { istioctl ztunnel-config service --service-namespace bookinfo | grep -E '^bookinfo +reviews ' | grep -q waypoint; }
pods() { kubectl get pods -n bookinfo -l '!gateway.networking.k8s.io/gateway-name' -o jsonpath='{range .items[*]}{.metadata.uid} {.spec.containers[*].name} {.status.containerStatuses[*].restartCount}{"\n"}{end}' | sort; }
split() { # 300 answers of reviews: v2 in about one of ten (5 standard deviations either way), v3 in none
  get --parallel-max 1 "reviews:9080/reviews/[1-300]" | grep -o '"podname": *"reviews-v[123]' | sort | uniq -c >"$seen" || return 1
  local v2; v2=$(awk '/v2/{print $1}' "$seen")
  ! grep -q v3 "$seen" && [ "${v2:-0}" -ge 5 ] && [ "$v2" -le 57 ]
}

before=$(pods)
check "the sample answers outside the mesh" page_has "reviews-v"
kubectl label namespace bookinfo istio.io/dataplane-mode=ambient
check "istioctl ztunnel-config workload says HBONE for every pod" meshed
workloads
check "the sample answers inside the mesh" page_has "reviews-v"
check "no pod was restarted or given a container" test "$before" = "$(pods)"

istioctl waypoint apply -n bookinfo --enroll-namespace --wait
check "istioctl ztunnel-config service names the waypoint" behind_waypoint
check "the sample answers through the waypoint" page_has "reviews-v"

kubectl apply -n bookinfo -f "$SAMPLES/bookinfo/gateway-api/route-reviews-90-10.yaml"
check "90/10" split
[ ! -s "$seen" ] || cat "$seen"

kubectl apply -n bookinfo -f - <<'Y'
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: reviews-get-only}
spec:
  targetRefs: [{kind: Service, group: "", name: reviews}]
  action: ALLOW
  rules:
  - from: [{source: {principals: [cluster.local/ns/bookinfo/sa/bookinfo-productpage]}}]
    to: [{operation: {methods: [GET]}}]
Y
check "the policy refuses curl, which is not productpage" status_is 403 reviews:9080/reviews/1
check "the policy admits productpage" page_has "reviews-v"
check "details, which it does not name, answers curl" status_is 200 details:9080/details/1

kubectl delete -n bookinfo authorizationpolicy/reviews-get-only httproute/reviews
check "without the policy curl is admitted" status_is 200 reviews:9080/reviews/1
istioctl waypoint delete -n bookinfo waypoint
kubectl label namespace bookinfo istio.io/use-waypoint- istio.io/dataplane-mode-
check "the sample answers outside the mesh again" page_has "reviews-v"
exit $failed
