"""Midwatch, the library: everything the product knows and does, apart from Ray and the HTTP edge.

May know: its own packages. Must not know: ``ray``, ``fastapi``, ``actors``, ``serve``.
Importing it does no I/O, reads no environment and starts nothing.
"""

__version__ = "0.1.0"
