"""What the demo world's programs write to their logs while all is well."""

from __future__ import annotations

from midwatch.sandbox.cluster.behaviours import Behaviour, Run
from midwatch.sandbox.objects import Obj

_STARTS: dict[str, tuple[str, ...]] = {
    "frontend": ("frontend: loaded 214 assets", "frontend: listening on :8080"),
    "checkout": (
        'level=info msg="checkout starting" env=production',
        'level=info msg="connected" peer=cart:80 took=11ms',
        'level=info msg="ready" addr=:8080',
    ),
    "payment-api": (
        "INFO  payment-api starting, profile=production",
        "INFO  reading database primary from /run/db/primary",
        "INFO  database pool opened, 10 connections",
        "INFO  listening on 0.0.0.0:8080",
    ),
    "search": (
        "INFO  o.s.Search - Starting Search on Java 21, heap max 192m",
        "INFO  o.s.index.Loader - index opened, 48211 documents",
        "INFO  o.s.Search - Started in 2.413 seconds",
    ),
    "payments-db": ("LOG:  database system is ready to accept connections",),
}
_BEATS = {
    "frontend": "frontend: GET / 200 4ms",
    "checkout": 'level=info msg="POST /checkout" status=200 took=38ms',
    "payment-api": "INFO  POST /payments 201 in 52 ms",
    "search": "INFO  o.s.http.Access - GET /search 200 17ms",
    "payments-db": "LOG:  checkpoint complete: wrote 41 buffers (0.3%)",
}


def ordinary(_pod: Obj, container: Obj) -> Behaviour:
    """A container that starts, becomes ready and stays."""
    name = str(container["name"])
    logs = _STARTS.get(name, (f"{name}: starting", f"{name}: ready"))
    return Run(logs=logs, beat=_BEATS.get(name, f"{name}: ok"))
