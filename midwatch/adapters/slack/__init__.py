"""Slack. May know: the Web API, Socket Mode, Block Kit. Only ``gateway`` and ``socket`` import its SDK: the edge reads
requests with ``requests`` alone.
"""
