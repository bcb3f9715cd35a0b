"""Where a node keeps what it accepted: the :class:`~node.store.interface.Store` protocol and its adapters.

A store never signs and never decides: it applies an operation whole, or not at all.
"""
