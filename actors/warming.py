"""Imports what every actor needs into a process that waits unused.

Ray imports this module first, in every process that it starts (``RAY_preload_python_modules``). Those that have
something to do are left alone, and so are all while the house is started: Serve takes some, and needs none of it.
"""

import time
from importlib import import_module
from threading import Thread

import psutil
import ray

from actors.unused import house_is_up, is_unused

_ROUND_S = 1.0
_SHARED = ("actors.rule_engine", "actors.approval_broker", "kubernetes.aio.client", "kubernetes.aio.config")
"""What nearly all of them carry anyway; the rest would stay in processes that never use it."""


def _warm() -> None:
    while not ray.is_initialized():
        time.sleep(_ROUND_S / 10)
    while is_unused(psutil.Process()):
        time.sleep(_ROUND_S)
        if house_is_up() and is_unused(psutil.Process()):
            for name in _SHARED:
                import_module(name)
            return


Thread(target=_warm, name="warming", daemon=True).start()
