"""The API server: requests in, replies and watch streams out.

May know: the store, patches, selectors, tables. Must not know: controllers or scenarios, except the pod logs and the
moment of a pod's deletion, which it asks of them through small interfaces.
"""
