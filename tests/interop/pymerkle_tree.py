"""Runs under pymerkle's own interpreter: build the tree over given entries and prove each of them in it.

In: JSON {entries}, byte strings as hex. Out: JSON {root, inclusion}, for each entry the hashes from its leaf's
neighbour up. Each proof was verified by pymerkle.
"""

from __future__ import annotations

import json
import sys

from pymerkle import InmemoryTree, verify_inclusion


def main() -> None:
    entries = [bytes.fromhex(entry) for entry in json.load(sys.stdin)["entries"]]
    tree = InmemoryTree.init_from_entries(entries, algorithm="sha256")
    root = tree.get_state()
    inclusion = []
    for number in range(1, len(entries) + 1):
        proof = tree.prove_inclusion(number)
        verify_inclusion(tree.get_leaf(number), root, proof, index=number, size=len(entries), algorithm="sha256")
        inclusion.append([digest.hex() for digest in proof.path[1:]])
    json.dump({"root": root.hex(), "inclusion": inclusion}, sys.stdout)


if __name__ == "__main__":
    main()
