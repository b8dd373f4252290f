"""Use cases: each module carries one part of an incident's way through the house.

May know: ``midwatch.domain`` and the ports (protocols) declared beside the service that uses them. Must not know: any
adapter, vendor SDK, Ray or FastAPI. Clocks, ids and randomness are passed in.
"""
