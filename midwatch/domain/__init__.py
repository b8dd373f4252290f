"""Pure values and decisions: what an incident is and what to do about it.

May know: the standard library and ``msgspec`` (typed values and their JSON form). Must not know: clocks, stores,
networks, files, the environment, or any other package of Midwatch. Everything here is frozen, and every decision is a
pure function that returns its reason.
"""
