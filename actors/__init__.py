"""Ray actors, one a file: thin shells that keep a service of ``midwatch`` running.

May know: ``midwatch`` (adapters only through ``midwatch.bootstrap``) and Ray. Must not know: FastAPI, ``serve``. A
method is one call into the library. ``__init__`` never raises and does no I/O, because Ray restarts nothing whose
``__init__`` failed: it starts the actor's life in the background, which opens the store with patience and resumes from
the journal.
"""
