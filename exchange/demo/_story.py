"""The main job, step by step: Tokyo asks Paris to preserve data; each step with what is proved of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from exchange.demo._cast import example_fields
from exchange.demo._federation import NATIONS
from exchange.demo._stage import Stage
from exchange.i18n import _, labelled
from keys.local.files import write_file
from protocol.encoding.instants import to_text
from protocol.errors import DemoStepError

ROUNDS = 20
PROVED_REQUEST = (
    "SubmissionAcceptance",
    "RelayAcceptance",
    "ContentConsignment",
    "ContentHandover",
    "ContentAccessTracking",
)
PROVED_REPLY = PROVED_REQUEST[:-1]


class Story:
    """The main job on a running stage."""

    def __init__(self, stage: Stage) -> None:
        self._root = stage.root
        self._commands = stage.commands
        self._tokyo, self._paris, self._auditor = stage.tokyo, stage.paris, stage.auditor
        self._tell = stage.tell

    async def run(self) -> dict[str, Any]:
        request = await self._commands.comity(self._tokyo, "send", str(self._request_file()))
        self._tell(_("3. Tokyo sealed and submitted the request: {message}").format(message=request["id"]))
        await self._receive(self._paris, request["id"])
        shown = await self._commands.comity(self._paris, "show", request["id"])
        names = [target["target"] for target in shown["message"]["targets"]]
        self._tell(_("4. Paris opened it; targets: {count}").format(count=len(names)))
        now = datetime.now(UTC)
        acknowledged = await self._commands.comity(
            self._paris, "acknowledge", request["id"], "--eta", to_text(now + timedelta(hours=6))
        )
        text = _("5. Paris acknowledged, with a time for the answer: {message}")
        self._tell(text.format(message=acknowledged["id"]))
        answered = await self._commands.comity(self._paris, "answer", request["id"], str(self._answer_file(names, now)))
        text = _("6. Paris answered, one target preserved, one not held: {message}")
        self._tell(text.format(message=answered["id"]))
        await self._receive(self._tokyo, answered["id"])
        tracked = [
            await self._proved(self._tokyo, request["id"], PROVED_REQUEST),
            await self._proved(self._paris, acknowledged["id"], PROVED_REPLY),
            await self._proved(self._paris, answered["id"], PROVED_REPLY),
        ]
        final = await self._commands.comity(self._tokyo, "track", request["id"])
        self._tell(_("7. Tokyo can prove of its request:"))
        self._tell_receipts(tracked[0])
        for target in final["targets"]:
            self._tell(f"   {target['target']}: {target['state']} {target['expires_at'] or ''}")
        audit = await self._audit(request["id"])
        return self._result(tracked, final, audit)

    async def _receive(self, home: Path, message_id: str) -> None:
        for _round in range(ROUNDS):
            inbox = await self._commands.comity(home, "inbox", "--wait", "5")
            if message_id in {row["id"] for row in inbox["messages"]}:
                return
        raise DemoStepError(f"the message {message_id} did not arrive")

    async def _proved(self, home: Path, message_id: str, events: tuple[str, ...]) -> dict[str, Any]:
        """The tracking of a message once every one of ``events`` is proved (or when waiting has no more sense)."""
        tracked: dict[str, Any] = {}
        for _round in range(ROUNDS):
            tracked = await self._commands.comity(home, "track", message_id, "--wait", "3")
            if set(events) <= {row["event"] for row in _receipts(tracked) if row["verified"]}:
                break
        return tracked

    async def _audit(self, message_id: str) -> dict[str, Any]:
        logs: dict[str, Any] = {}
        for node in NATIONS:
            folder = self._root / f"mirror-{node}"
            logs[node] = await self._commands.comity(
                self._auditor, "audit", "mirror", node, "--into", str(folder), codes=(0, 3)
            )
            text = _("8. The auditor mirrored and verified the log of {node}; entries: {size}")
            self._tell(text.format(node=node, size=logs[node]["size"]))
        folders = [f"{node}={self._root / f'mirror-{node}'}" for node in NATIONS]
        matched = await self._commands.comity(self._auditor, "audit", "reconcile", *folders, codes=(0, 3, 6))
        traced = await self._commands.comity(self._auditor, "audit", "trace", message_id, *folders, codes=(0, 3))
        text = (
            _("9. Both logs tell the same story; messages matched: {count}")
            if matched["ok"]
            else _("9. The two logs do NOT tell the same story; messages matched: {count}")
        )
        self._tell(text.format(count=matched["counts"]["matched"]))
        return {"logs": logs, "reconcile": matched, "trace": traced}

    def _request_file(self) -> Path:
        path = self._root / "request.json"
        write_file(path, json.dumps(example_fields("preservation-request.json")).encode())
        return path

    def _answer_file(self, names: list[str], now: datetime) -> Path:
        preserved, *others = names
        day = timedelta(days=1)
        targets: list[dict[str, Any]] = [
            {
                "target": preserved,
                "result": "preserved",
                "preserved_at": to_text(now),
                "expires_at": to_text(now + 90 * day),
                "provider_reference": "HOST-2026-5512",
                "scope": "Subscriber data and connection logs as stored at receipt.",
            },
            *({"target": name, "result": "not_held", "remark": "The account was deleted earlier."} for name in others),
        ]
        path = self._root / "answer.json"
        write_file(path, json.dumps({"targets": targets}).encode())
        return path

    def _tell_receipts(self, tracked: dict[str, Any]) -> None:
        for row in _receipts(tracked):
            proof = _("verified") if row["verified"] else labelled(_("NOT VERIFIED"), row["error"])
            text = _("{event}, entry {index} of the log of {node}: {proof}")
            told = text.format(event=row["event"], index=row["index"], node=row["node"], proof=proof)
            self._tell(f"   {told}")

    def _result(self, tracked: list[dict[str, Any]], final: dict[str, Any], audit: dict[str, Any]) -> dict[str, Any]:
        messages = [
            {
                "id": item["id"],
                "type": item["type"],
                "from": item["from"],
                "to": item["to"],
                "receipts": [
                    {key: row[key] for key in ("event", "node", "index", "verified")} for row in _receipts(item)
                ],
            }
            for item in tracked
        ]
        wanted = (PROVED_REQUEST, PROVED_REPLY, PROVED_REPLY)
        proved = all(
            set(events) <= {row["event"] for row in item["receipts"]}
            and all(row["verified"] for row in item["receipts"])
            for item, events in zip(messages, wanted, strict=True)
        )
        states = sorted(target["state"] for target in final["targets"])
        logs = {node: {key: log[key] for key in ("size", "root", "verified")} for node, log in audit["logs"].items()}
        return {
            "messages": messages,
            "targets": final["targets"],
            "logs": logs,
            "audit": {"reconcile": audit["reconcile"], "trace": audit["trace"]},
            "ok": proved
            and states == ["not_held", "preserved"]
            and all(log["verified"] for log in logs.values())
            and audit["reconcile"]["ok"],
        }


def _receipts(tracked: dict[str, Any]) -> list[dict[str, Any]]:
    """The receipts of all recipients, each once, in the order of the log of each node."""
    rows = {(row["node"], row["index"]): row for item in tracked["recipients"] for row in item["receipts"]}
    return [rows[key] for key in sorted(rows, key=lambda key: (rows[key]["at"], key))]
