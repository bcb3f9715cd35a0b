"""Files of others at a desk: scanned, quarantined, exchanged by hash only, exported."""

from __future__ import annotations

from protocol.errors._base import ComityError


class FileInfectedError(ComityError):
    """A scanner found something in the file, and the office lets no such file out."""

    code = "file-infected"
    http_status = 422
    advice = "Examine it on a machine made for that; the policy warn of [scanning] in the settings lets it out."


class FileNotScannedError(ComityError):
    """No scanner gave a verdict on the whole file, and the office lets no such file out."""

    code = "file-not-scanned"
    http_status = 422
    advice = "Mend the scanner or its limits; the policy warn of [scanning] in the settings lets the file out."


class HashOnlyError(ComityError):
    """The material is exchanged by its hash alone, unless two officers decided otherwise."""

    code = "by-hash-only"
    http_status = 403
    advice = "Send or use its hashes; where the file itself is needed, two officers allow it: comity files allow."


class ExportUnfinishedError(ComityError):
    """The export of files stopped before it was whole; there is no bag."""

    code = "export-unfinished"
    http_status = 409
    advice = "Mend the cause and give the same command again: what is verified already is not copied again."


class FileQuarantinedError(ComityError):
    """The file is not what its sender said that it is; it is kept apart, with the proof."""

    code = "file-quarantined"
    http_status = 422
    advice = "Do not use it as evidence; comity files custody shows what differs. Ask its sender for another message."
