"""Runs the cases of one stream against one subject."""
import asyncio
import json
import os
import time

from . import edits, judge, net
from .client import Source
from .dns import Dns
from .events import Events
from .h2io import Reset
from .istiod import Control
from .names import Names, UnknownName
from .pki import CA
from .requests import Requests
from .rewrite import Rewriter
from .stream import WDS, Workload
from .subject import Subject
from .traffic import Traffic
from .world import World

CONTROL_PLANE = "xds"       # the case every document ends with: NACKs and protocol violations
START_S, CASE_S = 20, 60


class Engine:
    def __init__(self, job, stream, workdir, netns):
        self.job, self.stream, self.dir, self.doc = job, stream, workdir, job["doc"]
        self.started, self.results, self.current = time.monotonic(), [], 0
        self.names = Names(job["scenario"], stream)
        self.ca = CA(workdir)
        self.world = World(self.ca, stream)
        self.control = Control(stream, self.ca, Rewriter(job["subject"] == "envoy", self.doc.get("strip", ())))
        self.subject = Subject(job["subject"], stream, self.ca, workdir, netns, job.get("bin"), job.get("env"))
        self.events = Events(self.subject, self.control, self.advance)

    def cases(self):
        """In order of step, then as written."""
        out = [{**c, "step": self.stream.last if c.get("step", "last") == "last" else int(c["step"])} for c in self.doc["cases"]]
        return sorted(out, key=lambda c: c["step"])

    async def run(self):
        cases = self.cases()
        out = {"label": self.job["label"], "subject": self.job["subject"], "cases": self.results}
        try:
            await self.prepare()
            await self.start(cases[0]["step"] if cases else 1)
            traffic = Traffic(Requests(self.doc, self.names, self.job["here"]), self.world, self.subject,
                              Source(self.ca, self.stream.pod_ips[0]), self.events)
            for c in cases:
                await self.reach(c["step"])
                await self.one(c, traffic)
                if self.subject.ended and not self.events.terminated:
                    raise ValueError(f"subject exited with {self.subject.proc.returncode}: {self.subject.tail()}")
        except ValueError as e:
            out["fatal"] = str(e)
        self.finish(out, cases)
        await self.subject.stop()
        return out

    async def prepare(self):
        edits.scale(self.stream, self.doc.get("scale"))
        await self.world.listen(self.stream.endpoints())
        edits.edit(self.stream, self.doc.get("edit"))
        for ep in self.doc.get("listen", ()):
            ip, _, port = self.names.authority(ep).rpartition(":")
            await self.world.listen_plain(ip, int(port))
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: Dns(self.doc.get("dns")), (net.WORLD, 53))
        await self.control.serve(f"{net.WORLD}:15010", f"{net.WORLD}:15012")

    async def start(self, step):
        self.advance(step)
        if not self.control.state:
            raise ValueError(f"the stream has nothing before step {self.stream.steps[0].number}")
        await self.subject.start(15010)
        why = await self.subject.ready(self.job.get("start_timeout", START_S))
        if why:
            raise ValueError(f"subject did not start: {why}")
        if not await self.control.settle():
            raise ValueError("responses left unacknowledged after start")
        await self.subject.quiesce()

    def advance(self, step):
        self.current = step
        self.control.advance(step)
        live = []
        for r in self.control.state.get(WDS, {}).values():
            try:
                live.append(Workload(r.resource.value))
            except ValueError:
                pass    # broken on purpose by an `edit:`
        self.world.sync(live)
        self.stream.by_ip = {a: w for w in live for a in w.addresses} or self.stream.by_ip

    async def reach(self, step):
        for k in range(self.current + 1, step + 1):
            self.advance(k)
            await asyncio.sleep(0.05)
            await self.control.settle()
            await self.subject.quiesce()

    async def one(self, c, traffic):
        res, t0 = {"name": c["name"], "step": c["step"]}, time.monotonic()
        self.results.append(res)
        skip = (c.get("skip") or {}).get(self.job["subject"])
        if skip:
            res.update(result="skipped", why=[skip])
            return
        limit = c.get("timeout_s", CASE_S)
        try:
            got = await asyncio.wait_for(traffic.run(c), limit)
            why = judge.Judge(self.names, c.get("expect") or {}, got).verdict()
            res["got"] = judge.summary(got, self.subject.access_lines()[got["log_start"]:])
        except asyncio.TimeoutError:
            why = [f"case did not finish in {limit} s"]
        except UnknownName as e:
            why = [str(e)]
        except (OSError, Reset) as e:
            why = [f"transport: {e!r}"]
        res["seconds"] = round(time.monotonic() - t0, 3)
        self.settle(res, why, (c.get("differs") or {}).get(self.job["subject"]))

    @staticmethod
    def settle(res, why, differs=None):
        if why and differs:
            res.update(result="differs", why=why, reason=differs)
        elif why:
            res.update(result="failed", why=why)
        else:
            res.update(result="passed")
            if differs:
                res["note"] = "passed although `differs` says it may not"

    def finish(self, out, cases):
        done = {r["name"] for r in self.results}
        for c in cases:
            if c["name"] not in done:
                self.results.append({"name": c["name"], "result": "failed", "why": ["not reached: " + out.get("fatal", "aborted")[:300]]})
        # Envoy refuses some of what istiod sends (see README): as the oracle it is asked about requests only.
        if self.job["subject"] == "waypoint":
            res = {"name": CONTROL_PLANE}
            self.results.append(res)
            self.settle(res, judge.control_plane(self.doc.get("nacks") or [], self.control))
        out.update(nacks=self.control.nacks, violations=sorted(set(self.control.violations)), acks=self.control.acks,
                   stripped=dict(self.control.rewriter.removed), csrs=self.control.csrs,
                   seconds=round(time.monotonic() - self.started, 2))
        if self.job.get("keep"):
            with open(os.path.join(self.dir, "result.json"), "w") as f:
                json.dump(out, f, indent=1, default=str)
