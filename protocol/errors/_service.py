"""The desk as a service: who owns a home, and what became of a command that was given to its service."""

from __future__ import annotations

from protocol.errors._base import ComityError
from protocol.errors._http import UnavailableError


class DeskRunningError(ComityError):
    """Another process runs this desk already."""

    code = "desk-running"
    http_status = 409
    advice = "Commands use that one by themselves. To start it anew, end it first with comity desk stop."


class ServiceBusyError(UnavailableError):
    """The desk's service runs as many commands as it may, or does not answer."""

    code = "desk-service-busy"
    advice = "Try again. If the problem stays, see comity desk status, and end the commands that hang."


class ServiceLostError(UnavailableError):
    """The desk's service ended before it said what became of the command."""

    code = "desk-service-lost"
    advice = (
        "The command may be done already. Look first (comity inbox --sent, comity draft list, comity case show), then"
        " run it again; a send with the same --idempotency-key is never done twice."
    )


class RunFolderError(ComityError):
    """The folder of the desk's sockets cannot be used."""

    code = "run-folder"
    http_status = 500
    advice = "Name another folder with comity desk run --run-folder, of this user alone and with a short path."


class SessionError(ComityError):
    """Nobody can be signed in from here."""

    code = "session"
    http_status = 403
    advice = "Sign in with comity login from a terminal, or give --officer and its passphrase with each command."
