"""Every refusal Comity can give: one class per cause, each with a stable code.

A code never changes its meaning and is never reused. On the wire an error is an RFC 9457 problem
(``type`` is ``urn:comity:error:<code>``); at a desk it is one line that says what happened and one that says
what to do. No message carries content, names of persons, key material or the bytes that were refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from protocol.receipt import Receipt


class ComityError(Exception):
    """Base of all typed errors.

    ``code`` is stable and machine-readable, ``http_status`` what a node answers with, ``advice`` one line on
    what to do. ``detail`` is what happened this time.
    """

    code: ClassVar[str] = "internal"
    http_status: ClassVar[int] = 500
    advice: ClassVar[str] = "Report this to the operator with the code."
    retryable: ClassVar[bool] = False

    def __init__(self, detail: str = "") -> None:
        self.detail = detail or type(self).__doc__ or self.code
        self.detail = self.detail.strip().splitlines()[0]
        super().__init__(self.detail)

    def to_problem(self) -> dict[str, Any]:
        """The RFC 9457 members of this error."""
        return {
            "type": f"urn:comity:error:{self.code}",
            "title": self.advice,
            "status": self.http_status,
            "detail": self.detail,
        }


# --- Bytes and formats -------------------------------------------------------------------------------------


class MalformedError(ComityError):
    """The bytes are not what the format says they must be."""

    code = "malformed"
    http_status = 400
    advice = "Send the data exactly as the protocol specification lays it out."


class NonCanonicalError(MalformedError):
    """The CBOR is well formed but not in the one canonical encoding."""

    code = "non-canonical"
    advice = "Encode with RFC 8949 core deterministic encoding, without trailing bytes."


class TooLargeError(ComityError):
    """The data are larger than the limit."""

    code = "too-large"
    http_status = 413
    advice = "Send less at once; files travel as attachments."


class ForwardTooLargeError(TooLargeError):
    """The message is too long to be passed on with all that proves it."""

    code = "forward-too-large"
    advice = (
        "Ask its sender to send it to that office, in parts (comity send --split); or give an evidence bundle of it."
    )


class UnsupportedVersionError(ComityError):
    """The version or suite is not one this program knows."""

    code = "unsupported-version"
    http_status = 422
    advice = "Update this program, or ask the sender to use a version listed in its card."


class InvalidAddressError(MalformedError):
    """The address is not of the form <contact point>@<node>."""

    code = "invalid-address"
    advice = "Write the address as <contact point>@<node>, in lower case, such as 24-7@kr."


# --- Signatures, sealing and commitments -------------------------------------------------------------------


class SignatureInvalidError(ComityError):
    """The signature does not verify under the key the directory names."""

    code = "signature-invalid"
    http_status = 403
    advice = "Do not trust what was received; check with the sender over another channel."


class NotARecipientError(ComityError):
    """The envelope is not addressed or not sealed to this contact point."""

    code = "not-a-recipient"
    http_status = 403
    advice = "Tell the sender that the message was misdirected."


class OpenFailedError(ComityError):
    """The sealed content does not open: it was altered, or sealed under other routing or another sender."""

    code = "open-failed"
    http_status = 422
    advice = "Ask the sender to send it again; keep the envelope as evidence."


class CommitmentMismatchError(ComityError):
    """The content does not match what the sender signed."""

    code = "commitment-mismatch"
    http_status = 422
    advice = "Do not act on this content; report it to the sender and to the auditor."


class SenderMismatchError(ComityError):
    """The content, the routing header and the signing key do not name the same sender."""

    code = "sender-mismatch"
    http_status = 403
    advice = "Do not act on this message; report it to the office it claims to come from."


class RoutingMismatchError(ComityError):
    """The id or the recipients named inside differ from those in the routing header."""

    code = "routing-mismatch"
    http_status = 422
    advice = "Do not act on this message; report it to its sender."


class ExpiredError(ComityError):
    """The message expired before it got here."""

    code = "expired"
    http_status = 410
    advice = "Send a new message; the time it was valid for has passed."


class NotYetValidError(ComityError):
    """The message was created in the future by more than the clocks may differ."""

    code = "not-yet-valid"
    http_status = 422
    advice = "Set the sending machine's clock by NTP and send again."


class ReplayedError(ComityError):
    """This was already received."""

    code = "replayed"
    http_status = 409
    advice = "Nothing to do: the first copy was accepted."


class IdConflictError(ComityError):
    """Another message with this id but other content was accepted before."""

    code = "id-conflict"
    http_status = 409
    advice = "Give every message a fresh id; report this if you did."


class WeakKeyError(ComityError):
    """The key is a small-order or otherwise unusable key."""

    code = "weak-key"
    http_status = 422
    advice = "Generate a new key with the commands of this program."


# --- Directory ---------------------------------------------------------------------------------------------


class UnknownNodeError(ComityError):
    """The directory has no such node."""

    code = "unknown-node"
    http_status = 404
    advice = "Refresh the directory and check the part after the @."


class UnknownContactPointError(ComityError):
    """The directory has no such contact point."""

    code = "unknown-contact-point"
    http_status = 404
    advice = "Refresh the directory and check the part before the @."


class UnknownKeyError(ComityError):
    """The directory lists no such key for this holder."""

    code = "unknown-key"
    http_status = 403
    advice = "Refresh the directory and try again; if it stays unknown, do not trust what was received."
    retryable = True


class NotEnrolledError(UnknownContactPointError):
    """This desk is not in the directory yet."""

    code = "not-enrolled"
    advice = (
        "Give the enrolment request in the desk's home to your national authority; when it is published, try again."
    )


class RevokedError(ComityError):
    """The card or key was revoked, suspended, or is outside its validity."""

    code = "revoked"
    http_status = 403
    advice = "Use the holder's current card; if yours is revoked, ask your national authority."


class DirectoryUntrustedError(ComityError):
    """The directory metadata does not verify: wrong or missing signatures, rollback, or expired."""

    code = "directory-untrusted"
    http_status = 503
    advice = "Keep working with the last verified directory and tell the federation's root holders."


class DirectoryUnavailableError(ComityError):
    """No directory metadata could be fetched."""

    code = "directory-unavailable"
    http_status = 503
    advice = "Check the connection to the node and refresh again."
    retryable = True


class RotationError(ComityError):
    """A key cannot change hands now: the step before is missing."""

    code = "rotation"
    http_status = 409
    advice = (
        "Take the steps in order: begin, have the card published, switch, restart, finish, have it published again."
    )


class NewLogError(ComityError):
    """A node's log cannot be closed, or not yet replaced by another."""

    code = "new-log"
    http_status = 409
    advice = "A new log is the last resort, when entries are lost for good: run comity-node log reconcile first."


class CeremonyError(ComityError):
    """The step of the key ceremony does not fit the state of the federation."""

    code = "ceremony"
    http_status = 422
    advice = "Follow the steps of the operator guide in order."


class RootUnknownError(CeremonyError):
    """This holder's machine has not seen the federation before: its first root is compared out of band, once."""

    code = "root-unknown"
    advice = (
        "Have another member read it to you (comity-node join shows it), and give what you heard: --root-fingerprint."
    )


# --- Key storage -------------------------------------------------------------------------------------------


class KeystoreLockedError(ComityError):
    """The passphrase does not open the keystore, or the file was altered."""

    code = "keystore-locked"
    http_status = 401
    advice = "Check the passphrase; if it is right, restore the keystore from its backup."


class KeystoreError(ComityError):
    """The keystore file cannot be used as it is."""

    code = "keystore"
    http_status = 500
    advice = "Check the file's path, owner and mode (0600)."


class TokenLockedError(ComityError):
    """A hardware token refuses the PIN."""

    code = "token-locked"
    http_status = 401
    advice = "Check the PIN file before the next try: a token locks after a few wrong PINs."


class TokenUnavailableError(ComityError):
    """A hardware token cannot be used now."""

    code = "token-unavailable"
    http_status = 503
    advice = "Check that the token is plugged in and its library is installed; then try again."
    retryable = True


class PlatformUnfitError(ComityError):
    """This machine lacks a primitive that Comity needs."""

    code = "platform-unfit"
    http_status = 500
    advice = "Install the cryptography wheel from the package index (50 or newer)."


class DatabaseDamagedError(ComityError):
    """The desk's database was altered, is of another desk, or was written by another version of this program."""

    code = "database-damaged"
    http_status = 500
    advice = "Keep the file as evidence and restore the desk's database from its backup."


# --- Log ---------------------------------------------------------------------------------------------------


class CheckpointInvalidError(ComityError):
    """The checkpoint is malformed or lacks a required valid signature."""

    code = "checkpoint-invalid"
    http_status = 422
    advice = "Do not trust receipts under this checkpoint; report it to the log's operator."


class CheckpointStaleError(ComityError):
    """The date of the log's checkpoint is too far from the present time. It does not show the log's state today."""

    code = "checkpoint-stale"
    http_status = 502
    retryable = True
    advice = "Try again. If the problem stays, check both clocks and call the node's operator: the log does not sign."


class WrongOriginError(CheckpointInvalidError):
    """The checkpoint is of another log than the one that is looked at."""

    code = "wrong-origin"
    advice = "Name the folder or node whose log it is; if the node itself served it, tell its operator."


class ProofInvalidError(ComityError):
    """The inclusion or consistency proof does not lead to the checkpoint's root."""

    code = "proof-invalid"
    http_status = 422
    advice = "Keep the cryptographic proof and the checkpoint: together they are evidence against the log."


class LogForkError(ComityError):
    """A checkpoint does not extend one seen before: the log was forked or rolled back."""

    code = "log-fork"
    http_status = 409
    advice = "Keep both checkpoints, stop trusting this log, and raise the alarm."


class LogWentBackError(LogForkError):
    """The log shows an older state than before. Nothing contradicts, but newer entries are not shown."""

    code = "log-went-back"
    advice = "Ask the node's operator whether it was restored from a backup; keep the mirror as it is, and ask again."


class LogUnavailableError(ComityError):
    """The log does not hold that entry, tile or size."""

    code = "log-not-found"
    http_status = 404
    advice = "Ask only for entries up to the checkpoint's size."


class NoMirrorError(LogUnavailableError):
    """A folder that was named as a mirror has none."""

    code = "no-mirror"
    advice = "Take it with comity audit mirror NODE, or name its folder as NODE=FOLDER."


class KeptAuditAlteredError(ComityError):
    """What an auditor kept of an earlier verification of a log is not what it had written."""

    code = "kept-audit-altered"
    http_status = 500
    advice = "Find out who altered it. Then verify again with --from-the-beginning, which makes it anew."


class OldSizeError(ComityError):
    """The witness cosigned a tree of another size of this log last.

    ``size`` is that size.
    """

    code = "old-size"
    http_status = 409
    advice = "Prove consistency from the size that the witness names."

    def __init__(self, detail: str = "", size: int = 0) -> None:
        super().__init__(detail)
        self.size = size


class QuorumNotMetError(ComityError):
    """The checkpoint lacks cosignatures of witnesses that the federation's policy asks for."""

    code = "quorum-not-met"
    http_status = 404
    advice = (
        "Try again in a minute. If the problem stays, call the log's operator, who sees which witnesses do not answer."
    )


class EntriesErasedError(LogUnavailableError):
    """The entry's data was erased when its time was over; the log keeps its hash."""

    code = "entries-erased"
    http_status = 410
    advice = "Read the scoped bundle, which has the hashes of erased entries, or ask who mirrored the log before."


# --- HTTP and federation -----------------------------------------------------------------------------------


class UnauthenticatedError(ComityError):
    """The signature of the HTTP request is missing, incomplete or wrong."""

    code = "unauthenticated"
    http_status = 401
    advice = "Sign the HTTP request with a key from the directory (RFC 9421)."


class ClockSkewError(ComityError):
    """The time in the signature of the HTTP request is too far from this machine's clock."""

    code = "clock-skew"
    http_status = 401
    advice = "Set both clocks by NTP and sign again."


class ForbiddenError(ComityError):
    """The identity is correct, but it has no right to do this."""

    code = "forbidden"
    http_status = 403
    advice = "Use the identity whose role this is."


class NotFoundError(ComityError):
    """There is no such thing here."""

    code = "not-found"
    http_status = 404
    advice = "Check the name, id or address that was asked for."


class RateLimitedError(ComityError):
    """Too many HTTP requests from this caller."""

    code = "rate-limited"
    http_status = 429
    advice = "Wait and send again; nothing that was accepted is lost."
    retryable = True


class UnavailableError(ComityError):
    """The service cannot take this now."""

    code = "unavailable"
    http_status = 503
    advice = "Send again later; nothing was accepted."
    retryable = True


class LogUnconfirmedError(UnavailableError):
    """The node waits until a partner confirms the last entry of its log. Until then it accepts and shows nothing."""

    code = "log-unconfirmed"
    advice = (
        "Send the same again: the node goes on asking its partners. If none can be reached and nothing was restored "
        "from a backup, its operator starts it with --without-witnesses."
    )


class CertificateUnknownError(UnavailableError):
    """The server showed a TLS certificate that is not on its card."""

    code = "certificate-unknown"
    advice = "Refresh the directory: the node may have a new certificate. If this stays, telephone its operator."


class NetworkNotAllowedError(UnavailableError):
    """The address of a node is on this machine or in a private network, and the settings do not allow that."""

    code = "network-not-allowed"
    advice = (
        "If the address is right, name its network in allow_networks of node.toml; else the card must be corrected."
    )


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


class ClockAheadError(UnavailableError):
    """The partners say that this node's clock is ahead."""

    code = "clock-ahead"
    advice = "Set the node's clock (NTP); nothing was accepted, and the same can be sent again."


class ClockUnconfirmedError(UnavailableError):
    """This node's clock jumped ahead, and no partner could be asked whether it is right."""

    code = "clock-unconfirmed"
    advice = "It goes on when a partner answers. Check the node's clock (NTP) and its network."


class StorageFullError(UnavailableError):
    """The store cannot write: the disk is full or read-only."""

    code = "storage-full"
    http_status = 507
    advice = "Free disk space; nothing was accepted, and what was accepted before is safe."


class PeerFailedError(ComityError):
    """The other side answered with something that is not an answer."""

    code = "peer-failed"
    http_status = 502
    advice = "The node tries again by itself. If the problem stays, call the other node's operator."
    retryable = True


class RouteError(ComityError):
    """The message has no recipient that this node serves or can reach."""

    code = "no-route"
    http_status = 422
    advice = "Check the recipients' addresses in the directory."


class NotOnRouteError(RouteError):
    """By the directory, this partner must send the message to another node."""

    code = "not-on-route"
    http_status = 403
    advice = "Refresh the directory; hand the message to the node that it names."


class RelayLoopError(RouteError):
    """The relays that the cards name lead back to a node that was passed before."""

    code = "relay-loop"
    advice = "Some node cards name each other as relay. Ask their nations to correct the cards."


class TooManyHopsError(RouteError):
    """The way to the recipient's node has more hops than the protocol allows."""

    code = "too-many-hops"
    advice = "Tell the recipient's nation to name a relay that is nearer."


# --- Bundles -----------------------------------------------------------------------------------------------


class BundleTruncatedError(ComityError):
    """The bundle's file is shorter than it says: its end is missing."""

    code = "bundle-truncated"
    http_status = 422
    advice = "Copy the file again from where it was exported. Nothing was imported."


class BundleAlteredError(ComityError):
    """The bundle is not what the exporting side signed."""

    code = "bundle-altered"
    http_status = 422
    advice = "Do not use this file; copy it again, or have it exported again. Nothing was imported."


class BundleElsewhereError(ComityError):
    """The bundle is addressed to someone else."""

    code = "bundle-for-another"
    http_status = 403
    advice = "This file is for another office or node, named in it. Give it to them. Nothing was imported."


# --- Messages and cases ------------------------------------------------------------------------------------


class InvalidMessageError(ComityError):
    """The message breaks a rule of its type.

    ``problems`` lists every one: (field path, rule or legal name, text).
    """

    code = "invalid-message"
    http_status = 422
    advice = "Fill in what is listed and send again."

    def __init__(self, detail: str = "", problems: tuple[tuple[str, str, str], ...] = ()) -> None:
        super().__init__(detail)
        self.problems = problems

    def to_problem(self) -> dict[str, Any]:
        """The RFC 9457 members, with ``problems`` as an extension member."""
        members = super().to_problem()
        members["problems"] = [{"field": f, "rule": r, "text": t} for f, r, t in self.problems]
        return members


class InvalidCodeListError(ComityError):
    """An added code list breaks a rule.

    ``problems`` lists every one: (file name, text).
    """

    code = "invalid-code-list"
    http_status = 422
    advice = "Correct the files that are listed; docs/messages.md says how a code list is written."

    def __init__(self, detail: str = "", problems: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(detail)
        self.problems = problems


class TransitionError(ComityError):
    """No rule of the lifecycle allows this step now."""

    code = "transition-refused"
    http_status = 409
    advice = "Compare it with the case's present state; a received message is kept as out of order."


class NothingOpenError(ComityError):
    """There is no open decision here."""

    code = "nothing-open"
    http_status = 409
    advice = "Already finished. Open it again to see its state."


class SettingsError(ComityError):
    """The settings file is missing or holds something that cannot be used."""

    code = "settings"
    http_status = 500
    advice = "Correct the settings file as the guide describes it."


class WitnessDamagedError(SettingsError):
    """What this node knows of its partners' logs cannot be read, so it must not vouch for any of them."""

    code = "witness-damaged"
    advice = "Stop the node, then: comity-node witness rebuild HOME. The operator guide, section 9, has every step."


class DuplicateRequestError(ComityError):
    """Not sent: another case has the same target (you used --unless-duplicate)."""

    code = "duplicate-request"
    http_status = 409
    advice = "Look at the other case; send without --unless-duplicate if you need this request all the same."


class ConditionsOpenError(ComityError):
    """The content was given under conditions that this desk has not accepted."""

    code = "conditions-open"
    http_status = 409
    advice = (
        "Accept them with comity accept-conditions, or decline them with condition.decline in reply to the message; "
        "then it opens or stays closed."
    )


class OfferNeededError(ComityError):
    """Content under conditions is to be sent before they were accepted."""

    code = "offer-needed"
    http_status = 409
    advice = (
        "Offer it with comity offer; comity give sends it when the conditions are accepted."
        " In an emergency it is sent at once."
    )


class OfficerNeededError(ComityError):
    """This desk has officers: name the one who acts, with that officer's passphrase."""

    code = "officer-needed"
    http_status = 401
    advice = "Give --officer and --officer-passphrase-file, or set COMITY_OFFICER and COMITY_OFFICER_PASSPHRASE_FILE."


class OfficerRoleError(ComityError):
    """The officer's roles do not allow this."""

    code = "officer-role"
    http_status = 403
    advice = "Ask an officer who has the role, or an administrator of the desk to give it."


class HandlingError(ComityError):
    """A label or condition forbids this."""

    code = "handling"
    http_status = 409
    advice = "Ask the originator's consent with comity consent ask; what is granted is then allowed."


class RecipientNeededError(ComityError):
    """Content is to be given out, and nobody said to whom and what for."""

    code = "recipient-needed"
    http_status = 400
    advice = "Say who gets it with --to, and what for with --purpose, a code of the list record_purpose."


class JustificationError(ComityError):
    """The office wants a reason for every consultation and disclosure."""

    code = "justification-needed"
    http_status = 400
    advice = "Give the reason with --because."


class ErasedError(ComityError):
    """The content was erased; only the cryptographic proofs about it are left."""

    code = "erased"
    http_status = 410
    advice = "See comity records for when it was erased and on what ground."


class ErasureError(ComityError):
    """The content cannot be erased now."""

    code = "erasure-refused"
    http_status = 409
    advice = (
        "Close the case, or wait until nothing in it is due. With the ground ordered, condition,"
        " data_subject or misdirected you can erase now."
    )


class LawsDifferError(ComityError):
    """Not sent: the comparison of the two laws gave a warning (you used --unless-warned)."""

    code = "laws-differ"
    http_status = 409
    advice = "Read the warnings with comity compare; change the draft, or send it without --unless-warned."


class EvidenceUnusableError(ComityError):
    """The file is not an evidence bundle that can be read without danger."""

    code = "evidence-unusable"
    http_status = 422
    advice = "Do not unpack it; ask whoever made it for a new one."


class TimestampInvalidError(ComityError):
    """The timestamp authority's token does not hold."""

    code = "timestamp-invalid"
    http_status = 422
    advice = "Try another authority, or make the bundle without --tsa; it can be stamped later as well."


class TimestampUnavailableError(UnavailableError):
    """The timestamp authority cannot be reached."""

    code = "timestamp-unavailable"
    advice = "Try again later or another authority, or make the bundle without --tsa and stamp it later."


class ProfileError(ComityError):
    """The legal profile cannot be used.

    ``problems`` lists every one: (field, text).
    """

    code = "invalid-profile"
    http_status = 422
    advice = "Correct the fields that are listed; docs/directory.md says how a legal profile is written."

    def __init__(self, detail: str = "", problems: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(detail)
        self.problems = problems


class FontsMissingError(ComityError):
    """The fonts that the report's language needs are not on this machine."""

    code = "fonts-missing"
    http_status = 503
    advice = "Install Debian's fonts-noto-core, and fonts-noto-cjk for Chinese; or write the report as .html."


class SigningIdentityError(ComityError):
    """The key and certificate for signing the report cannot be used."""

    code = "signing-identity"
    http_status = 422
    advice = "Give a PKCS#12 file, or a PEM file with one key and its certificate, and the passphrase that opens it."


class UsageError(ComityError):
    """The command was given something it cannot use."""

    code = "usage"
    http_status = 400
    advice = "See the command's --help for an example."


class WrongFileError(MalformedError):
    """A file that was given to a command is not one that the command reads."""

    code = "wrong-file"
    advice = (
        "Give the file that is wanted. If this is the one, fetch or copy it again, or mend what is named: it may have"
        " been cut off or altered on its way."
    )


class OutputError(ComityError):
    """The output cannot be written: nobody has read it.

    What the command did before stands, so its advice is not simply to run it again: that would send a message twice.
    """

    code = "output"
    http_status = 507
    advice = (
        "Free disk space, or send the output elsewhere. Nothing was marked as read; what the command was to send or"
        " change may be done already: look first, then run it again."
    )


# --- What a node keeps on its machine ------------------------------------------------------------------------


class BodyTimeoutError(UnavailableError):
    """The body of the HTTP request did not arrive in time."""

    code = "body-timeout"
    http_status = 408
    advice = "Send the whole body at once; nothing was accepted."


class MethodError(ComityError):
    """This resource does not take this method."""

    code = "method-not-allowed"
    http_status = 405
    advice = "Use the method that the protocol specification names."


class ReceiptPendingError(UnavailableError):
    """It is stored, but there is no receipt yet."""

    code = "receipt-pending"
    advice = "It is stored. Send it once more to get the receipt."


class NotRecordedError(UnavailableError):
    """What a partner answered could not be written here. The fault is this node's own; the partner did its part."""

    code = "not-recorded"
    advice = "Look at this node's disk (comity-node health); what is not recorded is asked for again."


class NotAdmittedError(ComityError):
    """This node is not in the directory yet, so no node answers it."""

    code = "not-admitted"
    http_status = 503
    advice = (
        "Give card.json in this node's home to your nation's key holders; start the node when they have published it"
        " (comity-node cards publish) and the root holders have admitted your nation."
    )


class HomeNotPrivateError(SettingsError):
    """Others on this machine may look into the node's home."""

    code = "home-not-private"
    advice = "Run chmod 700 on the home folder: it holds the node's keys, its database, and who wrote to whom."


class ClockBehindError(UnavailableError):
    """This node's clock is behind the time that its log signed last."""

    code = "clock-behind"
    advice = "Set the node's clock (NTP); nothing was accepted, and the same can be sent again."


class MigrationError(ComityError):
    """The database's schema is not one that this program made."""

    code = "migration"
    http_status = 500
    advice = "Run the program version that wrote this database, or restore its migration files unchanged."


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


class LogConflictError(LogForkError):
    """Another node's log now contradicts our saved copy of it.

    ``kept`` and ``shown`` are two receipts of one index or two checkpoints of one size, verified before.
    """

    code = "log-conflict"

    def __init__(
        self, detail: str = "", kept: Receipt | bytes | None = None, shown: Receipt | bytes | None = None
    ) -> None:
        super().__init__(detail)
        self.kept = kept
        self.shown = shown


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


class ProofNotKeptError(ComityError):
    """The cryptographic proof cannot be written to the node's disk."""

    code = "proof-not-kept"
    http_status = 507
    advice = (
        "Free disk space or correct the permissions of the folder misbehaviour/; the cryptographic proof"
        " can be offered again."
    )


class NotProvedError(ProofInvalidError):
    """The file does not prove what it says."""

    code = "misbehaviour-not-proved"
    http_status = 422
    advice = "Use nothing of this file. If you suspect the log, ask its partners what they hold."


class NationUnusableError(ComityError):
    """A nation's own metadata or cards cannot be used."""

    code = "nation-unusable"
    http_status = 422
    advice = "Tell that nation's operator; the other nations stay usable."


class BundleGapError(ComityError):
    """An earlier part or bundle is missing: its mailbox entries would be passed over."""

    code = "bundle-gap"
    http_status = 409
    advice = "Import the parts in their order; if one is lost, export again: the node then begins where this desk is."


class DemoStepError(ComityError):
    """A step of the demonstration did not do what it should."""

    code = "demo-step"
    advice = "Run it again with --keep FOLDER and look at the node's log lines in that folder."


@cache
def registry() -> Mapping[str, type[ComityError]]:
    """Every code, and the class that has it: what any side may be refused with, whatever it has imported."""
    kinds = [kind for kind in globals().values() if isinstance(kind, type) and issubclass(kind, ComityError)]
    return MappingProxyType({kind.code: kind for kind in kinds})
