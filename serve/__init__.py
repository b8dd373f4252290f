"""The HTTP edge: webhooks, API, console, server-sent events. Routes are thin: parse, call one thing, answer.

May know: FastAPI and Jinja2, ``actors`` (through :mod:`serve.production` alone) and ``midwatch``. Must not know: any
adapter directly, or Ray outside :mod:`serve.app`. What a request needs is in one :class:`serve.dependencies.Edge`.
"""
