"""What the chat says when there is little to say."""

from typing import Final

HELP: Final = """I am the night watch. Without a model I understand:
• incidents · incident ID · approvals
• approve ID · confirm ID · reject ID why
• show error pods in NAMESPACE · list deployments in NAMESPACE
• logs of POD in NAMESPACE (previous, last 50 lines) · events in NAMESPACE · top pods in NAMESPACE
• describe deployment NAME in NAMESPACE
• restart NAME in NAMESPACE · scale NAME in NAMESPACE to 3 (planned, and done only when approved)
• silence NAMESPACE for 2h because … · silences · unsilence ID
• freeze NAMESPACE for 2h because … · unfreeze
• scan ports of HOST · check certificate of HOST · check headers of HOST
• who is on call · who am i · clear"""

HELP_MODEL: Final = """
Everything else I answer with the model and read-only tools. `use model NAME` chooses another one."""

NO_MODEL: Final = (
    "I have no language model to answer that with: none is configured, or none answers now. "
    "Write `help` for what I can do without one."
)

STRANGER: Final = (
    "I do not know you, so I show nothing of the cluster. An admin makes you a user with `midwatch users add` and "
    "gives you a code with `midwatch users link`; send me `link CODE` then."
)

NO_SCANNER: Final = (
    "No security scanner is configured. Write an MCP server into .mcp-config.json and name it in "
    "MIDWATCH_SECURITY_SCAN_SERVERS; docs/chat.md says how."
)

FAILED: Final = "Something failed inside Midwatch while I looked; the log says what. Ask me again in a moment."
