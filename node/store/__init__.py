"""Where a node keeps what it accepted: the :class:`~node.store.base.Store` protocol and its adapters."""
