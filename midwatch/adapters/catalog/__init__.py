"""Catalogues in YAML: rules, playbooks, policy and log patterns, read strictly.

May know: ``midwatch.domain`` and YAML. Every fault names file and line, all faults of a folder are reported at once,
and a catalogue that does not load leaves the one in force untouched.
"""
