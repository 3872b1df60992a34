"""Finds the case documents and runs each in a worker process of its own."""
import glob
import json
import os
import subprocess
import sys
import time

import yaml

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
GOLDENS = os.path.join(os.path.dirname(HERE), "goldens")
CORPORA = os.path.join(HERE, "corpora")


class Usage(Exception):
    """The command line or a case file asks for what is not there."""


def case_files(paths):
    """[(file, scenario directory or None: the document names it)]"""
    if not paths:
        paths = sorted(glob.glob(os.path.join(GOLDENS, "[0-9]*"))) + [CORPORA]
    out = []
    for path in paths:
        if not os.path.exists(path):
            raise Usage(f"{path} does not exist")
        if os.path.isfile(path):
            out.append((path, None))
        elif os.path.exists(os.path.join(path, "input.yaml")):
            out += [(f, path) for f in sorted(glob.glob(os.path.join(path, "cases*.yaml")))]
        else:
            out += [(f, None) for f in sorted(glob.glob(os.path.join(path, "*.yaml")))]
    return out


def documents(paths, only):
    """Jobs, less what `only` leaves out: {label, scenario, stream, here, doc}."""
    out = []
    for file, scenario in case_files(paths):
        with open(file) as f:
            docs = [d for d in yaml.safe_load_all(f) if d]
        for doc in docs:
            where = scenario or os.path.join(GOLDENS, doc.get("scenario", ""))
            if not os.path.exists(os.path.join(where, "input.yaml")):
                raise Usage(f"{file}: `scenario:` has to name a directory of {GOLDENS}")
            prefix = os.path.basename(os.path.abspath(scenario)) if scenario else os.path.basename(file).removesuffix(".yaml")
            job = {"label": f"{prefix}@{doc.get('label') or doc['waypoint']}", "scenario": where, "doc": doc,
                   "stream": os.path.join(where, "waypoint-" + doc["waypoint"].replace("/", "-")),
                   "here": os.path.dirname(os.path.abspath(file))}
            select(job, only)
            if doc["cases"]:
                out.append(job)
    labels = [j["label"] for j in out]
    if len(set(labels)) != len(labels):
        raise Usage(f"two documents with one label (give them a `label:`): {sorted(x for x in set(labels) if labels.count(x) > 1)}")
    return out


def select(job, only):
    cases = job["doc"].get("cases") or []
    names = [c.get("name") for c in cases]
    if None in names or len(set(names)) != len(names):
        raise Usage(f"{job['label']}: cases need names, each its own")
    job["doc"]["cases"] = [c for c in cases if not only or any(o in f"{job['label']}/{c['name']}" for o in only)]


def run(job, timeout):
    t0 = time.monotonic()
    p = subprocess.Popen([sys.executable, "-m", "replay.worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        out, err = p.communicate(json.dumps(job, default=str).encode(), timeout=timeout)
    except subprocess.TimeoutExpired:
        p.kill()
        out, err = p.communicate()
        err += b"\nworker timed out"
    try:
        r = json.loads(out)
    except ValueError:
        r = {"label": job["label"], "fatal": err.decode("utf-8", "replace")[-1500:], "cases": [
            {"name": c["name"], "result": "failed", "why": ["worker died"]} for c in job["doc"]["cases"]]}
    r["stderr"] = err.decode("utf-8", "replace")[-2000:]
    r["wall"] = round(time.monotonic() - t0, 2)
    return r
