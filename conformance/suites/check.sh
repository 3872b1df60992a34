# For the suites that are scripts: sourced, and `exit $failed` at the end.
failed=0
say() { printf '%s\n' "$*"; }
check() { # WHAT COMMAND...: polls, because whoever has to act hears of things one after the other
  local what=$1 begin=$SECONDS; shift
  until "$@" >/dev/null 2>&1; do
    if ((SECONDS - begin > 60)); then say "FAIL $what"; failed=1; return; fi
    sleep 0.5
  done
  say "ok   $what ($((SECONDS - begin)) s)"
}
