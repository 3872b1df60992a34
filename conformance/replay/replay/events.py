"""What happens to the subject or its istiod while a case runs: `during: {do, after_ms, …}`."""
import asyncio
import time


class Events:
    def __init__(self, subject, control, advance):
        self.subject, self.control, self.advance = subject, control, advance
        self.terminated = False

    async def run(self, spec, got):
        if not spec:
            return
        await asyncio.sleep(spec.get("after_ms", 0) / 1000)
        action = {"sigterm": self.sigterm, "restart-istiod": self.restart_istiod, "step": self.step}[spec["do"]]
        await action(spec, got)

    async def sigterm(self, spec, got):
        self.terminated, t0 = True, time.monotonic()
        self.subject.terminate()
        got["exit"] = await self.subject.exit_code(spec.get("within_s", 30))
        got["exit_after_s"] = round(time.monotonic() - t0, 2)

    async def restart_istiod(self, spec, got):
        """Cuts the ADS streams; with `step` the configuration changes before the client is back."""
        self.control.hang_up()
        if "step" in spec:
            self.advance(spec["step"])
        end = time.monotonic() + spec.get("within_s", 30)
        while not self.control.resumed and time.monotonic() < end:
            await asyncio.sleep(0.05)
        await self.control.settle()
        got["resumed"] = dict(self.control.resumed)

    async def step(self, spec, got):
        self.advance(spec["step"])
        await self.control.settle()
