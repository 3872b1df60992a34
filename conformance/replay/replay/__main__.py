"""Plays recorded istiod streams into a waypoint, sends requests through it and judges what comes out. See README.md."""
import argparse
import concurrent.futures
import json
import os
import sys

from . import jobs, verdict

BINARY = os.path.join(jobs.HERE, "../../target/debug/waypoint")
EXPECTED = os.path.join(jobs.HERE, "expected-failures.txt")


def arguments():
    p = argparse.ArgumentParser(prog="run", description=__doc__)
    p.add_argument("--subject", choices=["waypoint", "envoy"], default="waypoint", help="envoy: the oracle")
    p.add_argument("--bin", help="another program than target/debug/waypoint or the pinned Envoy")
    p.add_argument("--only", action="append", help="substring of SCENARIO@WAYPOINT/CASE; repeatable")
    p.add_argument("--jobs", type=int, default=max(1, min(4, os.cpu_count() or 1)))
    p.add_argument("--report", help="write everything that was seen as JSON")
    p.add_argument("--keep", help="keep logs and generated files under this directory")
    p.add_argument("--env", action="append", default=[], help="K=V for the subject's environment")
    p.add_argument("--start-timeout", type=float, default=30)
    p.add_argument("--worker-timeout", type=float, default=600)
    p.add_argument("-v", action="store_true", help="also list passed cases and what was got")
    p.add_argument("path", nargs="*", help="scenario directories and case files; default: all scenarios and corpora")
    a = p.parse_args()
    if a.subject == "waypoint":
        a.bin = os.path.realpath(a.bin or BINARY)
        if not os.path.exists(a.bin):
            p.error(f"{a.bin} is missing: cargo build -p waypoint")
    return a


def main():
    a = arguments()
    try:
        expected = verdict.expected_failures(EXPECTED) if a.subject == "waypoint" else {}
        todo = jobs.documents(a.path, a.only)
    except (jobs.Usage, ValueError) as e:
        sys.exit(str(e))
    for job in todo:
        job.update(subject=a.subject, bin=a.bin, keep=a.keep and os.path.abspath(a.keep), start_timeout=a.start_timeout,
                   env=dict(x.split("=", 1) for x in a.env))
    tally, reports = verdict.Tally(expected, a.v), []
    with concurrent.futures.ThreadPoolExecutor(max(1, a.jobs)) as pool:
        for r in pool.map(lambda job: jobs.run(job, a.worker_timeout), todo):
            reports.append(r)
            tally.stream(r)
    if a.report:
        with open(a.report, "w") as f:
            json.dump({"subject": a.subject, "total": tally.total, "streams": reports}, f, indent=1, default=str)
    sys.exit(0 if tally.close(complete=not a.only and not a.path) else 1)


if __name__ == "__main__":
    main()
