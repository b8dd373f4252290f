"""Outbound webhooks. May know: HTTP, and how a delivery is signed."""
