"""The gate: every case passes, differs for a stated reason, or is listed as failing; a listed one that passes fails the run."""
import json


def expected_failures(path):
    """{case id: reason}; a line is an id, blanks, the reason. `#` begins a comment."""
    out = {}
    with open(path) as f:
        for n, line in enumerate(f, 1):
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            name, _, reason = line.partition(" ")
            if not reason.strip() or name in out:
                raise ValueError(f"{path}:{n}: an id, a blank and a reason; every id once")
            out[name] = reason.strip()
    return out


class Tally:
    def __init__(self, expected, verbose):
        self.expected, self.verbose = expected, verbose
        self.seen = set()
        self.total = dict.fromkeys(("passed", "differs", "expected to fail", "skipped", "failed"), 0)

    def stream(self, r):
        """Prints one stream's results as they come."""
        n = dict.fromkeys(self.total, 0)
        for c in r["cases"]:
            n[self.case(f"{r['label']}/{c['name']}", c)] += 1
        for kind in ("fatal", "warning"):
            if r.get(kind):
                print(f"{kind} {r['label']}: {r[kind]}")
        if self.verbose and r.get("stderr"):
            print(r["stderr"])
        for k in n:
            self.total[k] += n[k]
        print(f"  {r['label']}: {counts(n)} ({r['wall']} s)", flush=True)

    def case(self, name, c):
        """The count a case belongs to."""
        self.seen.add(name)
        listed, result, why = self.expected.get(name), c["result"], "; ".join(c.get("why", ()))
        if result == "failed" and listed:
            result = "expected to fail"
            print(f"known {name}: {listed}" + (f": {why}" if self.verbose else ""))
        elif result == "failed":
            print(f"FAIL {name}: {why}")
        elif listed:
            print(f"FAIL {name}: {result}, but it is listed as failing: remove the line")
            result = "failed"
        elif result in ("differs", "skipped"):
            print(f"{result} {name}: {c.get('reason', why)}" + (f": {why}" if self.verbose else ""))
        if self.verbose:
            print(f"     {result} {name} " + json.dumps(c.get("got"), default=str))
        return result

    def close(self, complete):
        """Whether the gate is open. After a complete run every listed case must have been seen."""
        gone = sorted(set(self.expected) - self.seen) if complete else []
        for name in gone:
            print(f"FAIL {name}: listed as failing, but there is no such case")
        self.total["failed"] += len(gone)
        print(counts(self.total))
        return not self.total["failed"] and self.total["passed"] > 0


def counts(n):
    return ", ".join(f"{n[k]} {k}" for k in n if n[k] or k in ("passed", "failed"))
