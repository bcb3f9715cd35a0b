"""Writes the JSON Schema of every message type beside this file: ``python tests/generators/schemas.py``."""

from __future__ import annotations

import json
from pathlib import Path

from protocol.messages.parse import json_schema
from protocol.messages.registry import MESSAGE_TYPES

HERE = Path(__file__).resolve().parent


def schemas() -> dict[str, str]:
    """File name → text, for every registered message type."""
    return {
        f"{name}.json": json.dumps(json_schema(name), ensure_ascii=False, indent=2) + "\n" for name in MESSAGE_TYPES
    }


def main() -> None:
    for name, text in schemas().items():
        (HERE / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
