# The steps of check.sh, and what they share. Sourced, not run.
REVIEWS=http://reviews:9080/reviews/1
URL=${FAIRWAY_URL:-http://localhost:9080}
PATIENCE=${PATIENCE:-60} # seconds a wait may take; waits print what they took
passed=0 failed=0 detail=""

say() { detail="$detail${detail:+; }$*"; }
step() { # DESCRIPTION FUNCTION
  local begin=$SECONDS
  detail=""
  if "$2"; then passed=$((passed + 1)); printf 'ok    %-62s %3ss  %s\n' "$1" $((SECONDS - begin)) "$detail"
  else failed=$((failed + 1)); printf 'FAIL  %-62s %3ss  %s\n' "$1" $((SECONDS - begin)) "$detail"; fi
}
finish() { echo "$passed passed, $failed failed"; [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]; }

load() { # POD ARGS... : one JSON line, see `bookinfo load --help`
  local pod=$1; shift
  fairway exec -n bookinfo "$pod" -- bookinfo load "$@"
}
number() { # JSON KEY : the number under "KEY", 0 if there is none
  local n; n=$(printf '%s' "$1" | sed -n "s/.*\"$2\":\([0-9][0-9]*\).*/\1/p"); echo "${n:-0}"
}
eventually() { # COMMAND... : polls until it succeeds; says how long that took
  local begin; begin=$(date +%s%N)
  until "$@"; do
    [ $(($(date +%s%N) - begin)) -gt $((PATIENCE * 1000000000)) ] && { say "not within $PATIENCE s: $*"; return 1; }
    sleep 0.2
  done
  say "after $((($(date +%s%N) - begin) / 1000000)) ms"
}
expect() { # WHAT GOT OPERATOR WANTED
  if test "$2" "$3" "$4"; then return 0; fi
  say "$1: got '$2', wanted $3 '$4'"; return 1
}
apply() { fairway apply -f "$1" >/dev/null; }
status_of() { # POD URL STATUS ARGS... : one request; true if it was answered so
  local pod=$1 url=$2 status=$3; shift 3
  [ "$(number "$(load "$pod" --url "$url" "$@")" "$status")" -eq 1 ]
}

page() {
  local html code
  html=$(curl -s -w '\n%{http_code}' "$URL/productpage") || { say "curl $URL failed"; return 1; }
  code=${html##*$'\n'}
  expect status "$code" = 200 && expect "details on the page" "$(grep -c -i 'ISBN' <<<"$html")" -ge 1 &&
    expect "reviews on the page" "$(grep -c 'Reviewer1' <<<"$html")" -ge 1
}

split() { # V1-PERCENT : 2,000 requests, within three points
  local out v1 v2
  out=$(load curl --url $REVIEWS --count 2000 --concurrency 4)
  v1=$(number "$out" v1) v2=$(number "$out" v2)
  say "v1 $v1, v2 $v2"
  expect failed "$(number "$out" failed)" -eq 0 && expect answered $((v1 + v2)) -eq 2000 &&
    expect "v1 at least" "$v1" -ge $((($1 - 3) * 20)) && expect "v1 at most" "$v1" -le $((($1 + 3) * 20))
}
split_90_10() { split 90; }

even_by_now() { # a hundred requests are no longer nine to one
  local v2; v2=$(number "$(load curl --url $REVIEWS --count 100)" v2); [ "$v2" -ge 30 ]
}
live_change() {
  local log; log=$(mktemp)
  load curl --url $REVIEWS --seconds 8 --rate 200 --concurrency 4 >"$log" &
  local client=$!
  sleep 2
  apply steps/reviews-50-50.yaml && eventually even_by_now || { wait $client; return 1; }
  wait $client
  say "$(number "$(cat "$log")" requests) requests meanwhile"
  expect failed "$(number "$(cat "$log")" failed)" -eq 0 && expect "answered 200" "$(number "$(cat "$log")" 200)" -ge 1000 && split 50
  local result=$?
  rm -f "$log"; apply 30-reviews-route.yaml
  return $result
}

tester() {
  local out; out=$(load curl --url $REVIEWS --count 50 --header end-user:jason)
  expect "version 3" "$(number "$out" v3)" -eq 50
}

timed_out() {
  local answer; answer=$(fairway exec -n bookinfo curl -- bookinfo load --url $REVIEWS --show-body)
  [ "$(number "$answer" 504)" -eq 1 ] && grep -q 'upstream request timeout' <<<"$answer"
}
timeout_504() {
  apply steps/ratings-delay.yaml && apply steps/reviews-timeout.yaml && eventually timed_out
  local result=$?
  apply 30-reviews-route.yaml; fairway delete -f steps/ratings-delay.yaml >/dev/null
  return $result
}

delayed() { [ "$(number "$(load curl --url http://ratings:9080/ratings/1)" max)" -ge 2000 ]; }
not_delayed() { [ "$(number "$(load curl --url http://ratings:9080/ratings/1)" max)" -lt 2000 ]; }
fault_delay() {
  apply steps/ratings-delay.yaml && eventually delayed
  local result=$?
  fairway delete -f steps/ratings-delay.yaml >/dev/null; eventually not_delayed && return $result
}

aborted() { [ "$(number "$(load curl --url http://ratings:9080/ratings/1 --count 20)" 418)" -ge 1 ]; }
fault_abort() {
  apply steps/ratings-abort.yaml && eventually aborted || return 1
  local out aborts; out=$(load curl --url http://ratings:9080/ratings/1 --count 1000 --concurrency 4)
  aborts=$(number "$out" 418)
  say "$aborts of 1000"
  fairway delete -f steps/ratings-abort.yaml >/dev/null
  expect "aborts at least" "$aborts" -ge 250 && expect "aborts at most" "$aborts" -le 350
}

retried_503() {
  local out direct
  out=$(load curl --url http://ratings-faulty:9080/ratings/1 --count 200 --concurrency 2)
  direct=$(load curl --url "http://$(pod_ip app=ratings-faulty):9080/ratings/1" --count 200)
  say "503s without the route: $(number "$direct" 503)"
  expect "200 through the route" "$(number "$out" 200)" -eq 200 && expect "503 without it" "$(number "$direct" 503)" -ge 50
}

deny_method() {
  local answer; answer=$(fairway exec -n bookinfo productpage-v1 -- bookinfo load --url $REVIEWS --method DELETE --show-body)
  expect "403" "$(number "$answer" 403)" -eq 1 && expect body "$(grep -c 'RBAC: access denied' <<<"$answer")" -ge 1 &&
    status_of productpage-v1 $REVIEWS 200 &&
    logged bookinfo waypoint '"DELETE /reviews/1 .* 403 - rbac_access_denied_matched_policy'
}
deny_account() { status_of stranger $REVIEWS 403 || { say "not 403"; return 1; }; }

logged() { # NAMESPACE POD PATTERN: its log says so, if not at once then soon
  local n
  for n in {1..50}; do
    fairway logs -n "$1" "$2" --tail 20 | grep -q "$3" && return
    sleep 0.1
  done
  say "the log of $2 does not say $3"; return 1
}

pod_ip() { fairway get pods -n bookinfo -l "$1" -o wide | awk 'NR > 1 && /Running/ {for (i = 1; i <= NF; i++) if ($i ~ /^10\.244\./) {print $i; exit}}'; }
deny_l4() {
  local out; out=$(load curl --url "http://$(pod_ip app=reviews,version=v1):9080/reviews/1")
  expect "failed without an answer" "$(number "$out" failed)" -eq 1 &&
    logged istio-system ztunnel 'explicitly denied by: bookinfo/reviews-only-through-waypoint'
}

no_plaintext() {
  local seen; seen=$(mktemp)
  fairway capture -n bookinfo curl --seconds 4 --contains podname --contains 'GET /reviews' >"$seen" & local sniffer=$!
  sleep 1
  local out; out=$(load curl --url $REVIEWS --count 200)
  wait $sniffer
  say "$(tr '\n' ' ' <"$seen")"
  expect answered "$(number "$out" 200)" -eq 200 && expect "packets to port 15008" "$(number "$(cat "$seen")" 15008)" -ge 1 &&
    expect "packets with plain text" "$(number "$(cat "$seen")" matched)" -eq 0
  local result=$?; rm -f "$seen"; return $result
}

plaintext_refused() { # from the node itself, which is no part of the mesh
  ! fairway exec node -- bookinfo load --url "http://$(pod_ip app=details):9080/details/0" --timeout 3 | grep -q '"200":1'
}
strict() {
  apply steps/strict.yaml && eventually plaintext_refused && fairway restart -n bookinfo deployment/details-v1 --wait >/dev/null &&
    eventually status_of curl http://details:9080/details/0 200 && expect "pods not ready" "$(not_ready)" = ""
  local result=$?
  fairway delete -f steps/strict.yaml >/dev/null
  return $result
}
not_ready() { fairway get pods -n bookinfo | awk 'NR > 1 && $2 != "1/1" {print $1}'; }

reviews_ok() { status_of curl $REVIEWS 200 --timeout 3; }
reviews_not_ok() { ! reviews_ok; }
waypoint_gone() {
  fairway scale -n bookinfo deployment/waypoint --replicas 0 --wait >/dev/null && eventually reviews_not_ok || return 1
  local out; out=$(load curl --url $REVIEWS --count 20 --timeout 3)
  expect "answered without the waypoint" "$(number "$out" 200)" -eq 0
  local result=$?
  fairway scale -n bookinfo deployment/waypoint --replicas 1 --wait >/dev/null && eventually reviews_ok && return $result
}

rollout() { # DEPLOYMENT...
  local log; log=$(mktemp)
  load curl --url $REVIEWS --seconds 25 --rate 200 --concurrency 8 >"$log" & local client=$!
  sleep 2
  local d; for d in "$@"; do fairway restart -n bookinfo "deployment/$d" --wait >/dev/null || say "restart $d failed"; done
  say "restarted after $((SECONDS)) s in all"
  wait $client
  local out; out=$(cat "$log"); rm -f "$log"
  say "$(number "$out" requests) requests, $(number "$out" failed) failed"
  expect failed "$(number "$out" failed)" -eq 0 && expect "answered 200" "$(number "$out" 200)" -eq "$(number "$out" requests)" &&
    expect requests "$(number "$out" requests)" -ge 4000
}
rollout_reviews() { rollout reviews-v1 reviews-v2 reviews-v3; }
rollout_waypoint() { rollout waypoint; }

plain_again() { [ "$(number "$(fairway capture -n bookinfo curl --seconds 2 --contains 'GET /details' & sleep 0.5; load curl --url http://details:9080/details/0 --count 20 >/dev/null; wait)" matched)" -ge 1 ]; }
unenrol() {
  fairway label namespace bookinfo istio.io/dataplane-mode- >/dev/null && eventually plain_again &&
    status_of curl http://details:9080/details/0 200 || { say "without the label"; fairway label namespace bookinfo istio.io/dataplane-mode=ambient >/dev/null; return 1; }
  fairway label namespace bookinfo istio.io/dataplane-mode=ambient >/dev/null && eventually status_of stranger $REVIEWS 403 && eventually reviews_ok && split 90
}

no_nack() {
  local rejects; rejects=$(fairway exec node -- bookinfo load --url http://10.244.0.1:15014/metrics --show-body | grep -o 'pilot_total_xds_rejects[^\\]*' | grep -v '#' | awk '{n += $NF} END {print n + 0}')
  expect "rejected resources" "$rejects" -eq 0
}
