"""One recorded stream, one subject, its cases: a process of its own, in namespaces of its own."""
import asyncio
import json
import os
import shutil
import sys
import tempfile

from . import net


def main():
    job = json.load(sys.stdin)
    out = os.dup(1)
    os.dup2(2, 1)           # what modules print goes to the report's stderr
    try:
        net.enter()
    except OSError as e:
        sys.exit(f"no namespaces ({e}): run as root, or allow unprivileged user namespaces")
    os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
    with tempfile.TemporaryDirectory(prefix="replay-", ignore_cleanup_errors=True) as tmp:
        workdir = tmp
        if job.get("keep"):
            workdir = os.path.join(job["keep"], job["label"].replace("/", "_"))
            shutil.rmtree(workdir, ignore_errors=True)
            os.makedirs(workdir)
        from .stream import Stream          # gRPC starts threads: not before the namespaces are entered
        stream = Stream(job["stream"])
        netns = net.set_up(stream.pod_ips)
        net.overlay_etc(workdir, {h: net.WORLD for h in ("istiod.istio-system.svc", "istiod.istio-system.svc.cluster.local")})
        from .engine import Engine
        result = asyncio.run(Engine(job, stream, workdir, netns).run())
        os.write(out, json.dumps(result, default=str).encode())
        os.close(out)
        sys.stdout.flush()
        net.undo_etc(workdir)
        shutil.rmtree(tmp, ignore_errors=True)
        os._exit(0)         # no interpreter shutdown: gRPC's threads are still there


if __name__ == "__main__":
    main()
