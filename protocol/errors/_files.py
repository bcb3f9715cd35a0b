"""Evidence files: what is wrong with one on its way, at its opening, or before it is sent."""

from __future__ import annotations

from protocol.errors._base import ComityError
from protocol.errors._http import ForbiddenError, UnavailableError


class FileAlteredError(ComityError):
    """The sealed file is not the one that its name stands for: a part was altered, left out, moved or repeated."""

    code = "file-altered"
    http_status = 422
    advice = "Fetch the file again (comity files resume); keep what came if it happens twice."


class FileKeyMismatchError(ComityError):
    """The sealed file was not sealed under the key that the message gives for it."""

    code = "file-key-mismatch"
    http_status = 422
    advice = "Ask the sender to seal and send the file again; keep what came as evidence."


class FileLengthMismatchError(ComityError):
    """The file is not as long as its message says, or something other than zeros fills it up."""

    code = "file-length-mismatch"
    http_status = 422
    advice = "Ask the sender to seal and send the file again; keep what came as evidence."


class FileHashMismatchError(ComityError):
    """The file opens with its key, but it is not the one whose hash the message states."""

    code = "file-hash-mismatch"
    http_status = 422
    advice = "Do not use this file: it is kept apart, with the proof against its sender. Ask for it again."


class FileSetMismatchError(ComityError):
    """The files of the message are not those that its routing header commits to."""

    code = "file-set-mismatch"
    http_status = 422
    advice = "Do not act on this message; report it to its sender."


class FileUnknownError(ComityError):
    """There is no such file here that this caller may have."""

    code = "file-unknown"
    http_status = 404
    advice = "Send the message first; then its files, from the address that sent it."


class FileNotReservedError(ComityError):
    """No room was reserved here for the files of this message."""

    code = "file-not-reserved"
    http_status = 409
    advice = "Announce the files of the message first, then send their parts."


class FileQuotaError(UnavailableError):
    """The files would be more than this sender may have in transit at a time."""

    code = "file-quota"
    http_status = 507
    advice = "Wait until earlier files are handed over, send fewer, or ask the node's operator for more room."


class FileNotHereError(UnavailableError):
    """The file, or a part of it, has not arrived here yet."""

    code = "file-not-here"
    advice = "Wait: it comes by itself (comity files list says how far it is)."


class FileUnreadableError(FileNotHereError):
    """The sealed file lies on the desk's disk, which does not give it."""

    code = "file-unreadable"
    advice = "Have the disk of the desk's home examined; the file stays where it is, and is not damaged by that."


class FileGoneError(ComityError):
    """The file is no longer kept here: it was handed over, let go, or its time passed."""

    code = "file-gone"
    http_status = 410
    advice = "Ask the sender to send the file again, in a new message."


class FileCancelledError(FileGoneError):
    """The sender took the file back before it was handed over."""

    code = "file-cancelled"
    advice = "Ask the sender whether another file comes; nothing is to be done here."


class FileNotSupportedError(ComityError):
    """A desk or node that the files must pass does not take files, or not so many bytes."""

    code = "file-not-supported"
    http_status = 422
    advice = "Send hashes only, or hand the files over another way and name it in the message."


class FileInfectedError(ComityError):
    """The scanner found something harmful in the file."""

    code = "file-infected"
    http_status = 422
    advice = "Keep the file where it is; examine it only on a machine made for that."


class FileNotScannedError(ComityError):
    """The file was not scanned, and this office uses no file that was not."""

    code = "file-not-scanned"
    http_status = 409
    advice = "Start the scanner or raise its limits (comity files scan), or have the policy changed."


class FileNameRefusedError(ComityError):
    """The name of the file cannot be used on this machine."""

    code = "file-name-refused"
    http_status = 422
    advice = "Give the file another name with --as; its own name stays in the record."


class FileSourceChangedError(ComityError):
    """The file changed while it was being sealed, or since."""

    code = "file-source-changed"
    http_status = 409
    advice = "Make sure that nothing writes to the file (copy it first), then attach it again."


class HashOnlyNeverError(ForbiddenError):
    """The settings of this office allow no exception for material that is exchanged by its hash only."""

    code = "hash-only-never"
    advice = 'Send its hash and size; an exception needs hash_only = "two_officers" in [files] of the desk\'s settings.'


class FileCopyAlteredError(ComityError):
    """The copy on this machine is not the file that a message here names: it was altered, or is another file."""

    code = "file-copy-altered"
    http_status = 409
    advice = "Take the file out of the desk again (comity files get), and find out who changed the copy."


class FileByHashOnlyError(ComityError):
    """This material is exchanged by its hash only: it is neither shown nor sent as a file."""

    code = "file-by-hash-only"
    http_status = 403
    advice = "Send its hash and size; the office's policy must allow the file itself."
