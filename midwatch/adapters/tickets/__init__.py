"""Ticket systems, one module a vendor. May know the ticket port, the domain and HTTP; nothing of stores or settings."""
