"""Where a node keeps what it accepted: the :class:`~node.store.interface.Store` protocol and its adapters."""
