"""The proxy under test: starting it, asking whether it is ready, reading its access log, ending it."""
import asyncio
import os
import signal

from . import envoy_setup, net, waypoint_setup


class Subject:
    def __init__(self, kind, stream, ca, workdir, netns, binary=None, environment=None):
        self.kind, self.stream, self.ca, self.dir, self.netns = kind, stream, ca, workdir, netns
        self.binary, self.environment = binary, environment or {}
        self.proc = self.log = None
        self.out = os.path.join(workdir, f"{kind}.log")

    async def start(self, plain_port):
        env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": self.dir}
        if self.kind == "envoy":
            argv = envoy_setup.command(self.stream, self.dir, plain_port, self.binary, self.environment.get("ENVOY_LOG", "warning"))
        else:
            waypoint_setup.write_files(self.stream, self.ca)
            argv = waypoint_setup.command(self.stream, self.binary)
            env.update(waypoint_setup.environment(self.stream))
        env.update(self.environment)
        self.log = open(self.out, "wb")
        self.proc = await asyncio.create_subprocess_exec(
            *argv, cwd=self.dir if self.kind == "envoy" else "/", env=env, stdin=asyncio.subprocess.DEVNULL,
            stdout=self.log, stderr=self.log, preexec_fn=net.child_in(self.netns))

    @property
    def ended(self):
        return self.proc is None or self.proc.returncode is not None

    async def ready(self, timeout):
        """('' or why not): Envoy's admin says LIVE, a waypoint's /healthz/ready is 200; and 15008 accepts."""
        port, path = (15000, "/ready") if self.kind == "envoy" else (15021, "/healthz/ready")
        end = asyncio.get_running_loop().time() + timeout
        last = ""
        while asyncio.get_running_loop().time() < end:
            if self.ended:
                return f"exited with {self.proc.returncode}: {self.tail()}"
            try:
                status, body = await self.http("GET", port, path)
                last = f"{path} answers {status} {body[:80]!r}"
                if status == 200:
                    _, w = await asyncio.wait_for(asyncio.open_connection(self.stream.pod_ips[0], 15008), 1)
                    w.close()
                    return ""
            except (OSError, asyncio.TimeoutError, ValueError, IndexError) as e:
                last = last or repr(e)
            await asyncio.sleep(0.03)
        return f"not ready after {timeout} s: {last}; {self.tail()}"

    async def http(self, method, port, path):
        r, w = await asyncio.wait_for(asyncio.open_connection(self.stream.pod_ips[0], port), 2)
        w.write(f"{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
        data = await asyncio.wait_for(r.read(-1), 5)
        w.close()
        head, _, body = data.partition(b"\r\n\r\n")
        return int(head.split(b" ")[1]), body.decode("utf-8", "replace")

    async def quiesce(self):
        """Until what was acknowledged is in force. Envoy: until nothing is warming."""
        if self.kind != "envoy":
            await asyncio.sleep(0.2)
            return
        for _ in range(100):
            try:
                _, b = await self.http("GET", 15000, "/stats?filter=(warming|listeners_draining)")
                if all(ln.endswith(": 0") for ln in b.splitlines() if "warming" in ln):
                    break
            except (OSError, asyncio.TimeoutError, ValueError, IndexError):
                pass
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.05)

    def tail(self, n=600):
        self.log.flush()
        with open(self.out, "rb") as f:
            return f.read()[-n:].decode("utf-8", "replace")

    def lines(self):
        with open(self.out, "rb") as f:
            return f.read().decode("utf-8", "replace").splitlines()

    def access_lines(self):
        return [ln.split("\t") for ln in self.lines() if ln.startswith("REPLAY\t")]

    def terminate(self):
        self.proc.send_signal(signal.SIGTERM)

    async def exit_code(self, timeout):
        """None while it still runs after `timeout`."""
        try:
            return await asyncio.wait_for(self.proc.wait(), timeout)
        except asyncio.TimeoutError:
            return None

    async def stop(self):
        if not self.ended:
            try:
                self.proc.kill()
                await self.proc.wait()
            except ProcessLookupError:
                pass
