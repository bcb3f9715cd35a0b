"""What a node keeps on its machine: its home, its store, its own log and its clock."""

from __future__ import annotations

from protocol.errors._base import ComityError
from protocol.errors._http import UnavailableError
from protocol.errors._log import LogForkError
from protocol.errors._machine import SettingsError


class HomeNotPrivateError(SettingsError):
    """Others on this machine may look into the node's home."""

    code = "home-not-private"
    advice = "Run chmod 700 on the home folder: it holds the node's keys, its database, and who wrote to whom."


class MonitorDamagedError(SettingsError):
    """This node cannot read what it knows of its partners' logs, so it must not vouch for any of them."""

    code = "monitor-damaged"
    advice = "Stop the node, then: comity-node monitor rebuild HOME. The operator guide, section 9, has every step."


class StoreDamagedError(ComityError):
    """The stored log does not lead to its own last checkpoint."""

    code = "store-damaged"
    http_status = 500
    advice = "Do not start this node on this database; restore the newest backup and keep the damaged file."


class StoreReplacedError(StoreDamagedError):
    """The database's file was removed or replaced while the node was running."""

    code = "store-replaced"
    advice = (
        "Stop the node, put the database back that it had open (or the newest backup), then comity-node log reconcile."
        " Nothing was accepted since."
    )


class StoreInUseError(ComityError):
    """Another process writes to this store."""

    code = "store-in-use"
    http_status = 500
    advice = "Stop the other node process first: two writers would fork the log."


class LogRolledBackError(LogForkError):
    """The database does not lead to the last checkpoint that this node signed."""

    code = "log-rolled-back"
    advice = (
        "Nothing is signed on this database: it would fork the log. Run comity-node log reconcile: "
        "it asks the partners how far the log went, and says what to do."
    )


class LogMovedError(LogForkError):
    """The log of this home was moved to another machine."""

    code = "log-moved"
    advice = "Run the node from the home that the final backup was restored into; two nodes would fork the log."


class LogUnconfirmedError(UnavailableError):
    """The node waits until a partner confirms the last entry of its log. Until then it accepts and shows nothing."""

    code = "log-unconfirmed"
    advice = (
        "Send the same again: the node goes on asking its partners. If none can be reached and nothing was restored "
        "from a backup, its operator starts it with --without-witnesses."
    )


class CheckpointFileError(ComityError):
    """The checkpoint file cannot be read or is not a checkpoint."""

    code = "checkpoint-file"
    http_status = 500
    advice = "Check the file's path, owner and mode; never put an older copy in its place."


class CheckpointFileDamagedError(CheckpointFileError):
    """The checkpoint file holds something else than a checkpoint."""

    code = "checkpoint-file-damaged"
    advice = (
        "Run comity-node log reconcile: it rebuilds the file from the database and what the partners saw of"
        " this log. Never put an older copy in its place."
    )


class BackupDamagedError(ComityError):
    """The folder is no whole backup: a file is missing, altered, or not on its list."""

    code = "backup-damaged"
    http_status = 422
    advice = "Copy the backup again from where it was made, or take an older one; nothing was restored."


class ClockAheadError(UnavailableError):
    """The partners say that this node's clock is ahead."""

    code = "clock-ahead"
    advice = "Set the node's clock (NTP); nothing was accepted, and the same can be sent again."


class ClockBehindError(UnavailableError):
    """This node's clock is behind the time that its log signed last."""

    code = "clock-behind"
    advice = "Set the node's clock (NTP); nothing was accepted, and the same can be sent again."


class ClockUnconfirmedError(UnavailableError):
    """This node's clock jumped ahead, and no partner could be asked whether it is right."""

    code = "clock-unconfirmed"
    advice = "It goes on when a partner answers. Check the node's clock (NTP) and its network."
