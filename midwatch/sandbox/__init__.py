"""A simulated cluster that speaks the Kubernetes API over HTTP: demo, tests and benchmarks share it.

May know: the standard library, msgspec, jsonpatch, Starlette and uvicorn. Must not know: the rest of Midwatch, so
that nothing the product believes about Kubernetes can leak into the thing it is tested against. Objects are handled
as the JSON documents they are on the wire (:data:`midwatch.sandbox.objects.Obj`): the API is open, and a typed subset
would drop what a client sent.

The parts: ``store`` keeps objects and their history; ``api`` answers requests; ``cluster`` is the controllers,
scheduler and kubelets, driven by a clock that is passed in; ``scenarios`` is the demo world and what goes wrong in it;
``runtime`` joins them; ``python -m midwatch.sandbox`` serves them.
"""
