"""Every refusal Comity can give: one class per cause, each with a stable code.

A code never changes its meaning and is never reused. On the wire an error is an RFC 9457 problem
(``type`` is ``urn:comity:error:<code>``); at a desk it is one line that says what happened and one that says
what to do. No message carries content, names of persons, key material or the bytes that were refused.

Each family of errors has a file of its own. Import a class from here. The tree: the class, its code, its file.

ComityError                              internal                 _base
├─ MalformedError                        malformed                _formats
│  ├─ NonCanonicalError                  non-canonical            _formats
│  ├─ InvalidAddressError                invalid-address          _formats
│  └─ WrongFileError                     wrong-file               _formats
├─ TooLargeError                         too-large                _formats
│  └─ ForwardTooLargeError               forward-too-large        _formats
├─ UnsupportedVersionError               unsupported-version      _formats
├─ SignatureInvalidError                 signature-invalid        _sealing
├─ SenderMismatchError                   sender-mismatch          _sealing
├─ RoutingMismatchError                  routing-mismatch         _sealing
├─ NotARecipientError                    not-a-recipient          _sealing
├─ OpenFailedError                       open-failed              _sealing
├─ CommitmentMismatchError               commitment-mismatch      _sealing
├─ WeakKeyError                          weak-key                 _sealing
├─ ExpiredError                          expired                  _sealing
├─ NotYetValidError                      not-yet-valid            _sealing
├─ ReplayedError                         replayed                 _sealing
├─ IdConflictError                       id-conflict              _sealing
├─ UnknownNodeError                      unknown-node             _directory
├─ UnknownContactPointError              unknown-contact-point    _directory
│  └─ NotEnrolledError                   not-enrolled             _directory
├─ UnknownKeyError                       unknown-key              _directory
├─ RevokedError                          revoked                  _directory
├─ NotAdmittedError                      not-admitted             _directory
├─ DirectoryUntrustedError               directory-untrusted      _directory
├─ DirectoryUnavailableError             directory-unavailable    _directory
├─ NationUnusableError                   nation-unusable          _directory
├─ ProfileError                          invalid-profile          _directory
├─ KeystoreLockedError                   keystore-locked          _keys
├─ KeystoreError                         keystore                 _keys
├─ TokenLockedError                      token-locked             _keys
├─ TokenUnavailableError                 token-unavailable        _keys
├─ RotationError                         rotation                 _keys
├─ NewLogError                           new-log                  _keys
├─ CeremonyError                         ceremony                 _keys
│  └─ RootUnknownError                   root-unknown             _keys
├─ UnauthenticatedError                  unauthenticated          _http
├─ ClockSkewError                        clock-skew               _http
├─ ForbiddenError                        forbidden                _http
│  └─ HashOnlyNeverError                 hash-only-never          _files
├─ NotFoundError                         not-found                _http
├─ MethodError                           method-not-allowed       _http
├─ RateLimitedError                      rate-limited             _http
├─ UnavailableError                      unavailable              _http
│  ├─ BodyTimeoutError                   body-timeout             _http
│  ├─ CertificateUnknownError            certificate-unknown      _http
│  ├─ NetworkNotAllowedError             network-not-allowed      _http
│  ├─ ReceiptPendingError                receipt-pending          _transfer
│  ├─ NotRecordedError                   not-recorded             _transfer
│  ├─ LogUnconfirmedError                log-unconfirmed          _node
│  ├─ ClockAheadError                    clock-ahead              _node
│  ├─ ClockBehindError                   clock-behind             _node
│  ├─ ClockUnconfirmedError              clock-unconfirmed        _node
│  ├─ TimestampUnavailableError          timestamp-unavailable    _evidence
│  ├─ FileQuotaError                     file-quota               _files
│  ├─ FileNotHereError                   file-not-here            _files
│  │  └─ FileUnreadableError             file-unreadable          _files
│  ├─ ServiceBusyError                   desk-service-busy        _service
│  ├─ ServiceLostError                   desk-service-lost        _service
│  ├─ StorageFullError                   storage-full             _machine
│  ├─ DeskBusyError                      desk-busy                _machine
│  └─ FolderBusyError                    folder-busy              _machine
├─ PeerFailedError                       peer-failed              _http
├─ RouteError                            no-route                 _transfer
│  ├─ NotOnRouteError                    not-on-route             _transfer
│  ├─ RelayLoopError                     relay-loop               _transfer
│  └─ TooManyHopsError                   too-many-hops            _transfer
├─ BundleTruncatedError                  bundle-truncated         _transfer
├─ BundleAlteredError                    bundle-altered           _transfer
├─ BundleElsewhereError                  bundle-for-another       _transfer
├─ BundleGapError                        bundle-gap               _transfer
├─ CheckpointInvalidError                checkpoint-invalid       _log
│  └─ WrongOriginError                   wrong-origin             _log
├─ CheckpointStaleError                  checkpoint-stale         _log
├─ ProofInvalidError                     proof-invalid            _log
│  └─ NotProvedError                     misbehaviour-not-proved  _log
├─ ProofNotKeptError                     proof-not-kept           _log
├─ LogForkError                          log-fork                 _log
│  ├─ LogWentBackError                   log-went-back            _log
│  ├─ LogConflictError                   log-conflict             _log
│  ├─ LogRolledBackError                 log-rolled-back          _node
│  └─ LogMovedError                      log-moved                _node
├─ LogUnavailableError                   log-not-found            _log
│  ├─ NoMirrorError                      no-mirror                _log
│  ├─ MirrorChangedError                 mirror-changed           _log
│  └─ EntriesErasedError                 entries-erased           _log
├─ KeptAuditAlteredError                 kept-audit-altered       _log
├─ OldSizeError                          old-size                 _log
├─ QuorumNotMetError                     quorum-not-met           _log
├─ StoreDamagedError                     store-damaged            _node
│  └─ StoreReplacedError                 store-replaced           _node
├─ StoreInUseError                       store-in-use             _node
├─ CheckpointFileError                   checkpoint-file          _node
│  └─ CheckpointFileDamagedError         checkpoint-file-damaged  _node
├─ BackupDamagedError                    backup-damaged           _node
├─ InvalidMessageError                   invalid-message          _messages
│  └─ OlderReaderError                   older-reader             _messages
├─ InvalidCodeListError                  invalid-code-list        _messages
├─ TransitionError                       transition-refused       _messages
│  └─ NoEffectError                      no-effect                _messages
├─ NothingOpenError                      nothing-open             _messages
├─ DuplicateRequestError                 duplicate-request        _messages
├─ LawsDifferError                       laws-differ              _messages
├─ StillUnderWayError                    still-under-way          _cases
├─ CallBackNeededError                   call-back-needed         _cases
├─ SuspectedForgeryError                 suspected-forgery        _cases
├─ ClosingLosesError                     closing-loses            _cases
├─ OtherKindOfIdError                    other-kind-of-id         _cases
├─ AlreadyRegisteredError                already-registered       _cases
├─ AlreadySentError                      already-sent             _cases
├─ OfferNeededError                      offer-needed             _messages
├─ ConditionsOpenError                   conditions-open          _messages
├─ RetractedError                        retracted                _messages
├─ IdempotencyKeyUsedError               idempotency-key-used     _messages
├─ DraftChangedError                     draft-changed            _messages
├─ OfficerNeededError                    officer-needed           _office
├─ OfficerRoleError                      officer-role             _office
│  └─ SecondPersonError                  second-person            _office
├─ HandlingError                         handling                 _office
├─ TransferSuspendedError                transfer-suspended       _office
├─ RecipientNeededError                  recipient-needed         _office
├─ JustificationError                    justification-needed     _office
├─ ErasedError                           erased                   _office
├─ ErasureError                          erasure-refused          _office
├─ EvidenceUnusableError                 evidence-unusable        _evidence
├─ ExportUnfinishedError                 export-unfinished        _evidence
├─ TimestampInvalidError                 timestamp-invalid        _evidence
├─ SigningIdentityError                  signing-identity         _evidence
├─ RedactionError                        redaction                _evidence
├─ FontsMissingError                     fonts-missing            _evidence
├─ FileAlteredError                      file-altered             _files
├─ FileKeyMismatchError                  file-key-mismatch        _files
├─ FileLengthMismatchError               file-length-mismatch     _files
├─ FileHashMismatchError                 file-hash-mismatch       _files
├─ FileSetMismatchError                  file-set-mismatch        _files
├─ FileUnknownError                      file-unknown             _files
├─ FileNotReservedError                  file-not-reserved        _files
├─ FileCopyAlteredError                  file-copy-altered        _files
├─ FileGoneError                         file-gone                _files
│  └─ FileCancelledError                 file-cancelled           _files
├─ FileNotSupportedError                 file-not-supported       _files
├─ FileInfectedError                     file-infected            _files
├─ FileNotScannedError                   file-not-scanned         _files
├─ FileNameRefusedError                  file-name-refused        _files
├─ FileSourceChangedError                file-source-changed      _files
├─ FileByHashOnlyError                   file-by-hash-only        _files
├─ DeskRunningError                      desk-running             _service
├─ RunFolderError                        run-folder               _service
├─ SessionError                          session                  _service
├─ SettingsError                         settings                 _machine
│  ├─ HomeNotPrivateError                home-not-private         _node
│  └─ MonitorDamagedError                monitor-damaged          _node
├─ UsageError                            usage                    _machine
├─ OutputError                           output                   _machine
├─ DatabaseDamagedError                  database-damaged         _machine
├─ MigrationError                        migration                _machine
├─ PlatformUnfitError                    platform-unfit           _machine
├─ DemoStepError                         demo-step                _machine
├─ PageHostError                         page-host                _pages
├─ PageEarlierError                      page-earlier             _pages
├─ PagesNotServedError                   pages-not-served         _pages
├─ PageForgedError                       page-forged              _pages
├─ SignInNeededError                     sign-in-needed           _pages
├─ SignInError                           sign-in                  _pages
├─ ConsoleCodeError                      console-code             _pages
├─ AuditCodeError                        audit-code               _pages
├─ SignInAgainError                      sign-in-again            _pages
├─ SignInLaterError                      sign-in-later            _pages
├─ PasskeyError                          passkey                  _pages
├─ AgencyAwayError                       agency-away              _pages
├─ AgencyRefusedError                    agency-refused           _pages
├─ AgencyUnboundError                    agency-unbound           _pages
├─ AgencyNeededError                     agency-needed            _pages
├─ FormError                             form                     _pages
└─ AssetAlteredError                     asset-altered            _pages
"""

from __future__ import annotations

from protocol.errors._base import ComityError as ComityError
from protocol.errors._cases import AlreadyRegisteredError as AlreadyRegisteredError
from protocol.errors._cases import AlreadySentError as AlreadySentError
from protocol.errors._cases import CallBackNeededError as CallBackNeededError
from protocol.errors._cases import ClosingLosesError as ClosingLosesError
from protocol.errors._cases import OtherKindOfIdError as OtherKindOfIdError
from protocol.errors._cases import StillUnderWayError as StillUnderWayError
from protocol.errors._cases import SuspectedForgeryError as SuspectedForgeryError
from protocol.errors._directory import DirectoryUnavailableError as DirectoryUnavailableError
from protocol.errors._directory import DirectoryUntrustedError as DirectoryUntrustedError
from protocol.errors._directory import NationUnusableError as NationUnusableError
from protocol.errors._directory import NotAdmittedError as NotAdmittedError
from protocol.errors._directory import NotEnrolledError as NotEnrolledError
from protocol.errors._directory import ProfileError as ProfileError
from protocol.errors._directory import RevokedError as RevokedError
from protocol.errors._directory import UnknownContactPointError as UnknownContactPointError
from protocol.errors._directory import UnknownKeyError as UnknownKeyError
from protocol.errors._directory import UnknownNodeError as UnknownNodeError
from protocol.errors._evidence import EvidenceUnusableError as EvidenceUnusableError
from protocol.errors._evidence import ExportUnfinishedError as ExportUnfinishedError
from protocol.errors._evidence import FontsMissingError as FontsMissingError
from protocol.errors._evidence import RedactionError as RedactionError
from protocol.errors._evidence import SigningIdentityError as SigningIdentityError
from protocol.errors._evidence import TimestampInvalidError as TimestampInvalidError
from protocol.errors._evidence import TimestampUnavailableError as TimestampUnavailableError
from protocol.errors._files import FileAlteredError as FileAlteredError
from protocol.errors._files import FileByHashOnlyError as FileByHashOnlyError
from protocol.errors._files import FileCancelledError as FileCancelledError
from protocol.errors._files import FileCopyAlteredError as FileCopyAlteredError
from protocol.errors._files import FileGoneError as FileGoneError
from protocol.errors._files import FileHashMismatchError as FileHashMismatchError
from protocol.errors._files import FileInfectedError as FileInfectedError
from protocol.errors._files import FileKeyMismatchError as FileKeyMismatchError
from protocol.errors._files import FileLengthMismatchError as FileLengthMismatchError
from protocol.errors._files import FileNameRefusedError as FileNameRefusedError
from protocol.errors._files import FileNotHereError as FileNotHereError
from protocol.errors._files import FileNotReservedError as FileNotReservedError
from protocol.errors._files import FileNotScannedError as FileNotScannedError
from protocol.errors._files import FileNotSupportedError as FileNotSupportedError
from protocol.errors._files import FileQuotaError as FileQuotaError
from protocol.errors._files import FileSetMismatchError as FileSetMismatchError
from protocol.errors._files import FileSourceChangedError as FileSourceChangedError
from protocol.errors._files import FileUnknownError as FileUnknownError
from protocol.errors._files import FileUnreadableError as FileUnreadableError
from protocol.errors._files import HashOnlyNeverError as HashOnlyNeverError
from protocol.errors._formats import ForwardTooLargeError as ForwardTooLargeError
from protocol.errors._formats import InvalidAddressError as InvalidAddressError
from protocol.errors._formats import MalformedError as MalformedError
from protocol.errors._formats import NonCanonicalError as NonCanonicalError
from protocol.errors._formats import TooLargeError as TooLargeError
from protocol.errors._formats import UnsupportedVersionError as UnsupportedVersionError
from protocol.errors._formats import WrongFileError as WrongFileError
from protocol.errors._http import BodyTimeoutError as BodyTimeoutError
from protocol.errors._http import CertificateUnknownError as CertificateUnknownError
from protocol.errors._http import ClockSkewError as ClockSkewError
from protocol.errors._http import ForbiddenError as ForbiddenError
from protocol.errors._http import MethodError as MethodError
from protocol.errors._http import NetworkNotAllowedError as NetworkNotAllowedError
from protocol.errors._http import NotFoundError as NotFoundError
from protocol.errors._http import PeerFailedError as PeerFailedError
from protocol.errors._http import RateLimitedError as RateLimitedError
from protocol.errors._http import UnauthenticatedError as UnauthenticatedError
from protocol.errors._http import UnavailableError as UnavailableError
from protocol.errors._keys import CeremonyError as CeremonyError
from protocol.errors._keys import KeystoreError as KeystoreError
from protocol.errors._keys import KeystoreLockedError as KeystoreLockedError
from protocol.errors._keys import NewLogError as NewLogError
from protocol.errors._keys import RootUnknownError as RootUnknownError
from protocol.errors._keys import RotationError as RotationError
from protocol.errors._keys import TokenLockedError as TokenLockedError
from protocol.errors._keys import TokenUnavailableError as TokenUnavailableError
from protocol.errors._log import CheckpointInvalidError as CheckpointInvalidError
from protocol.errors._log import CheckpointStaleError as CheckpointStaleError
from protocol.errors._log import EntriesErasedError as EntriesErasedError
from protocol.errors._log import KeptAuditAlteredError as KeptAuditAlteredError
from protocol.errors._log import LogConflictError as LogConflictError
from protocol.errors._log import LogForkError as LogForkError
from protocol.errors._log import LogUnavailableError as LogUnavailableError
from protocol.errors._log import LogWentBackError as LogWentBackError
from protocol.errors._log import MirrorChangedError as MirrorChangedError
from protocol.errors._log import NoMirrorError as NoMirrorError
from protocol.errors._log import NotProvedError as NotProvedError
from protocol.errors._log import OldSizeError as OldSizeError
from protocol.errors._log import ProofInvalidError as ProofInvalidError
from protocol.errors._log import ProofNotKeptError as ProofNotKeptError
from protocol.errors._log import QuorumNotMetError as QuorumNotMetError
from protocol.errors._log import WrongOriginError as WrongOriginError
from protocol.errors._machine import DatabaseDamagedError as DatabaseDamagedError
from protocol.errors._machine import DemoStepError as DemoStepError
from protocol.errors._machine import DeskBusyError as DeskBusyError
from protocol.errors._machine import FolderBusyError as FolderBusyError
from protocol.errors._machine import MigrationError as MigrationError
from protocol.errors._machine import OutputError as OutputError
from protocol.errors._machine import PlatformUnfitError as PlatformUnfitError
from protocol.errors._machine import SettingsError as SettingsError
from protocol.errors._machine import StorageFullError as StorageFullError
from protocol.errors._machine import UsageError as UsageError
from protocol.errors._messages import ConditionsOpenError as ConditionsOpenError
from protocol.errors._messages import DraftChangedError as DraftChangedError
from protocol.errors._messages import DuplicateRequestError as DuplicateRequestError
from protocol.errors._messages import IdempotencyKeyUsedError as IdempotencyKeyUsedError
from protocol.errors._messages import InvalidCodeListError as InvalidCodeListError
from protocol.errors._messages import InvalidMessageError as InvalidMessageError
from protocol.errors._messages import LawsDifferError as LawsDifferError
from protocol.errors._messages import NoEffectError as NoEffectError
from protocol.errors._messages import NothingOpenError as NothingOpenError
from protocol.errors._messages import OfferNeededError as OfferNeededError
from protocol.errors._messages import OlderReaderError as OlderReaderError
from protocol.errors._messages import RetractedError as RetractedError
from protocol.errors._messages import TransitionError as TransitionError
from protocol.errors._node import BackupDamagedError as BackupDamagedError
from protocol.errors._node import CheckpointFileDamagedError as CheckpointFileDamagedError
from protocol.errors._node import CheckpointFileError as CheckpointFileError
from protocol.errors._node import ClockAheadError as ClockAheadError
from protocol.errors._node import ClockBehindError as ClockBehindError
from protocol.errors._node import ClockUnconfirmedError as ClockUnconfirmedError
from protocol.errors._node import HomeNotPrivateError as HomeNotPrivateError
from protocol.errors._node import LogMovedError as LogMovedError
from protocol.errors._node import LogRolledBackError as LogRolledBackError
from protocol.errors._node import LogUnconfirmedError as LogUnconfirmedError
from protocol.errors._node import MonitorDamagedError as MonitorDamagedError
from protocol.errors._node import StoreDamagedError as StoreDamagedError
from protocol.errors._node import StoreInUseError as StoreInUseError
from protocol.errors._node import StoreReplacedError as StoreReplacedError
from protocol.errors._office import ErasedError as ErasedError
from protocol.errors._office import ErasureError as ErasureError
from protocol.errors._office import HandlingError as HandlingError
from protocol.errors._office import JustificationError as JustificationError
from protocol.errors._office import OfficerNeededError as OfficerNeededError
from protocol.errors._office import OfficerRoleError as OfficerRoleError
from protocol.errors._office import RecipientNeededError as RecipientNeededError
from protocol.errors._office import SecondPersonError as SecondPersonError
from protocol.errors._office import TransferSuspendedError as TransferSuspendedError
from protocol.errors._pages import AgencyAwayError as AgencyAwayError
from protocol.errors._pages import AgencyNeededError as AgencyNeededError
from protocol.errors._pages import AgencyRefusedError as AgencyRefusedError
from protocol.errors._pages import AgencyUnboundError as AgencyUnboundError
from protocol.errors._pages import AssetAlteredError as AssetAlteredError
from protocol.errors._pages import AuditCodeError as AuditCodeError
from protocol.errors._pages import ConsoleCodeError as ConsoleCodeError
from protocol.errors._pages import FormError as FormError
from protocol.errors._pages import PageEarlierError as PageEarlierError
from protocol.errors._pages import PageForgedError as PageForgedError
from protocol.errors._pages import PageHostError as PageHostError
from protocol.errors._pages import PagesNotServedError as PagesNotServedError
from protocol.errors._pages import PasskeyError as PasskeyError
from protocol.errors._pages import SignInAgainError as SignInAgainError
from protocol.errors._pages import SignInError as SignInError
from protocol.errors._pages import SignInLaterError as SignInLaterError
from protocol.errors._pages import SignInNeededError as SignInNeededError
from protocol.errors._registry import registry as registry
from protocol.errors._sealing import CommitmentMismatchError as CommitmentMismatchError
from protocol.errors._sealing import ExpiredError as ExpiredError
from protocol.errors._sealing import IdConflictError as IdConflictError
from protocol.errors._sealing import NotARecipientError as NotARecipientError
from protocol.errors._sealing import NotYetValidError as NotYetValidError
from protocol.errors._sealing import OpenFailedError as OpenFailedError
from protocol.errors._sealing import ReplayedError as ReplayedError
from protocol.errors._sealing import RoutingMismatchError as RoutingMismatchError
from protocol.errors._sealing import SenderMismatchError as SenderMismatchError
from protocol.errors._sealing import SignatureInvalidError as SignatureInvalidError
from protocol.errors._sealing import WeakKeyError as WeakKeyError
from protocol.errors._service import DeskRunningError as DeskRunningError
from protocol.errors._service import RunFolderError as RunFolderError
from protocol.errors._service import ServiceBusyError as ServiceBusyError
from protocol.errors._service import ServiceLostError as ServiceLostError
from protocol.errors._service import SessionError as SessionError
from protocol.errors._transfer import BundleAlteredError as BundleAlteredError
from protocol.errors._transfer import BundleElsewhereError as BundleElsewhereError
from protocol.errors._transfer import BundleGapError as BundleGapError
from protocol.errors._transfer import BundleTruncatedError as BundleTruncatedError
from protocol.errors._transfer import NotOnRouteError as NotOnRouteError
from protocol.errors._transfer import NotRecordedError as NotRecordedError
from protocol.errors._transfer import ReceiptPendingError as ReceiptPendingError
from protocol.errors._transfer import RelayLoopError as RelayLoopError
from protocol.errors._transfer import RouteError as RouteError
from protocol.errors._transfer import TooManyHopsError as TooManyHopsError
