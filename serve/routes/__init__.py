"""The routes, one module a group. A route parses, calls one thing and answers; it decides nothing."""
