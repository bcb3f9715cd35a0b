"""Evidence files on a disk that is carried by hand: written whole or not at all, read as from a stranger."""
