"""Evidence files of this node carried by hand: out of its store into a folder, and back."""
