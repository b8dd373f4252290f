"""The commands of ``midwatch``, one module a group.

May know: ``midwatch.bootstrap`` and below, typer and rich. Must not know: Ray, FastAPI.
"""
