"""Our Kubernetes tools: a small client, what can be read, what can be done, and the MCP server over both.

Objects are handled as the JSON documents they are on the wire: a typed subset would drop what it does not know when an
object is written back. What leaves this package is text for a model, or a typed value of the domain.
"""
