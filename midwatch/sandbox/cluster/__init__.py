"""What runs behind the API: controllers, a scheduler and kubelets, all driven by one queue and one clock.

May know: the store and what containers do (behaviours). Must not know: HTTP, users, or scenarios by name.
"""
