"""Model Context Protocol: connections to MCP servers, and our own server for Kubernetes.

May know: mcp, kubernetes.aio, the ports and the domain. Must not know: other adapters (but system), the store, actors.
"""
