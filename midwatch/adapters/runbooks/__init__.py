"""Runbooks from the network: GitHub, public and private, and hosts that are named in the settings.

May know: HTTP, the ports and the domain. Must not know: other adapters, the store, actors.
"""
