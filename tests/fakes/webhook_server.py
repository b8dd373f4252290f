"""A receiver of status webhooks that checks what it gets, as docs/webhooks.md tells it to."""

import hashlib
import hmac
import json
import time
from typing import Any

from aiohttp import web

from tests.fakes.faults import Faults, Listening, hang_up


class WebhookServer:
    """Keeps the bodies it was sent in ``bodies``; a wrong or old signature is 401."""

    def __init__(self, secret: str) -> None:
        app = web.Application()
        app.router.add_post("/hook", self._sent)
        self._listening = Listening(app)
        self._secret = secret.encode()
        self.faults = Faults()
        self.bodies: list[dict[str, Any]] = []

    async def start(self) -> str:
        return await self._listening.start() + "/hook"

    async def stop(self) -> None:
        await self._listening.stop()

    async def _sent(self, request: web.Request) -> web.StreamResponse:
        body, stamp = await request.read(), request.headers.get("X-Midwatch-Timestamp", "0")
        fault = self.faults.next("POST")
        if fault == "429":
            return web.Response(status=429, headers={"Retry-After": "1"})
        if fault == "500":
            return web.Response(status=503)
        if fault == "silent":
            return hang_up(request)
        proof = "v1=" + hmac.new(self._secret, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
        fresh = abs(time.time() - int(stamp)) < 300
        if not fresh or not hmac.compare_digest(proof, request.headers.get("X-Midwatch-Signature", "")):
            return web.Response(status=401)
        self.bodies.append(json.loads(body))
        return hang_up(request) if fault == "lost" else web.Response(status=204)
