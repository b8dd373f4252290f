"""The demo world, and what can go wrong in it.

May know: the cluster and its parts. Must not know: HTTP. Names, images and log lines are invented.
"""
