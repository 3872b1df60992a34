#!/usr/bin/env bash
# Walks the story of README.md and asserts each step. Run by `fairway up examples/bookinfo --exec examples/bookinfo/check.sh`,
# or beside a running `fairway up examples/bookinfo`. Prints one line per step, ends with "N passed, N failed".
set -uo pipefail
cd "$(dirname "$0")"
. ./check-lib.sh

step "the page shows details and reviews" page
step "2,000 requests to reviews split 90/10" split_90_10
step "a live change to 50/50 loses no request" live_change
step "the tester sees version 3" tester
step "a slow backend is cut off: 504 upstream request timeout" timeout_504
step "a two-second delay is injected" fault_delay
step "three of ten requests are aborted with 418" fault_abort
step "retries hide a backend's 503" retried_503
step "DELETE by productpage: 403 RBAC: access denied" deny_method
step "an unlisted service account: 403" deny_account
step "a pod dialled past the waypoint: refused by ztunnel" deny_l4
step "the wire carries no plain text" no_plaintext
step "probes succeed and plain text is refused under STRICT" strict
step "without the waypoint requests fail, and recover with it" waypoint_gone
step "a rolling restart of reviews at 200 rps loses nothing" rollout_reviews
step "a rolling restart of the waypoint at 200 rps loses nothing" rollout_waypoint
step "leaving and rejoining the mesh, live" unenrol
step "istiod saw no rejected configuration" no_nack
finish
