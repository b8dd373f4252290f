"""The Kubernetes API, read-only: watch streams for detection, and evidence around an incident.

May know: ``midwatch.domain``, the ports of the services it serves, and the ``kubernetes`` client (for kubeconfig,
tokens and TLS). Bodies are read raw: the client's own models take thirty times the time and refuse odd objects.
"""
