"""The demonstration: a whole federation on this machine, with real processes, TLS and databases."""

from exchange.demo.story import run_demo

__all__ = ["run_demo"]
