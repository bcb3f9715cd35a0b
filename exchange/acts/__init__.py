"""What an officer does and is shown, as programs get it: the same values for ``--json`` and for the local API.

It never prints and never asks: commands and the local API give it an opened desk, for whoever acts."""
