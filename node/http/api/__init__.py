"""The endpoints of docs/http-api.md, one module per resource.

They never write to the log themselves: they hand operations to the sequencer.
"""
