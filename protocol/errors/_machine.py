"""The program and the machine it runs on: settings, options, disk, other programs."""

from __future__ import annotations

from protocol.errors._base import ComityError
from protocol.errors._http import UnavailableError


class SettingsError(ComityError):
    """The settings file is missing or holds something that cannot be used."""

    code = "settings"
    http_status = 500
    advice = "Correct the settings file as the guide describes it."


class UsageError(ComityError):
    """The command was given something it cannot use."""

    code = "usage"
    http_status = 400
    advice = "See the command's --help for an example."


class OutputError(ComityError):
    """The output cannot be written: nobody has read it.

    The command's earlier acts stand, so its advice is not simply to run it again: that would send a message twice.
    """

    code = "output"
    http_status = 507
    advice = (
        "Free disk space, or send the output elsewhere. Nothing was marked as read; what the command was to send or"
        " change may be done already: look first, then run it again."
    )


class StorageFullError(UnavailableError):
    """The store cannot write: the disk is full or read-only."""

    code = "storage-full"
    http_status = 507
    advice = "Free disk space; nothing was accepted, and what was accepted before is safe."


class DeskBusyError(UnavailableError):
    """Another program works on the same files of the desk and did not finish in time."""

    code = "desk-busy"
    advice = (
        "Another program of this desk did not finish in time. Try again. If the problem stays, end the one that hangs."
    )


class FolderBusyError(UnavailableError):
    """Another program works in this folder of a log: it writes there, or reads what would be written anew."""

    code = "folder-busy"
    advice = "Nothing was changed. Wait until the other program has ended, or give another folder."


class DatabaseDamagedError(ComityError):
    """The desk's database was altered, is of another desk, or was written by another version of this program."""

    code = "database-damaged"
    http_status = 500
    advice = "Keep the file as evidence and restore the desk's database from its backup."


class MigrationError(ComityError):
    """The database's schema is not one that this program made."""

    code = "migration"
    http_status = 500
    advice = "Run the program version that wrote this database, or restore its migration files unchanged."


class PlatformUnfitError(ComityError):
    """This machine lacks a primitive that Comity needs."""

    code = "platform-unfit"
    http_status = 500
    advice = "Install the cryptography wheel from the package index (50 or newer)."


class DemoStepError(ComityError):
    """A step of the demonstration did not do what it should."""

    code = "demo-step"
    advice = "Run it again with --keep FOLDER and look at the node's log lines in that folder."
