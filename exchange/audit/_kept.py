"""Verifying a mirror on from what was verified before.

A run reads nothing again whose files are the ones that were read then (see :class:`FileMark`). It compares the hashes
of files that may be others with the tree that was proved. It judges verdicts that depend on the directory anew when a
card has changed on which they depend. It verifies a mirror that does not fit from the beginning.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from itertools import groupby

from exchange.audit._entry_reader import EntryReading, Problem, read_bundle
from exchange.audit._finding import MAX_FINDINGS, Findings
from exchange.audit._heads import other_heads
from exchange.audit._index import Chains, EntryIndex
from exchange.audit._judge import REFUTED, cards_digest, desk_keys, key_problems, times_of
from exchange.audit._ledger import Keeper, KeptBundle, KeptState, Ledger
from exchange.audit._log import LoggedView, LogMirror, VerifiedLog, VerifyPlan
from exchange.audit._rules import EventRules
from exchange.audit._times import EntryTimes
from exchange.audit._tree import AuthenticTree, authentic_tree, compare_above, compare_tile, strange_files, tile_root
from exchange.audit._workers import Job, read_all
from exchange.audit.period import ALWAYS
from keys.directory.view import Directory
from keys.local.tile_folder import PLAIN, SCOPED, FileMark, file_marks, read_items
from protocol.directory_seen import DirectorySeen, decode_entry, encode_directory_seen
from protocol.errors import ComityError, ProofInvalidError
from protocol.log.checkpoint import LogVerifier, VerifiedCheckpoint, reopen_checkpoint, verify_checkpoint
from protocol.log.layout import TILE_WIDTH, tile_path
from protocol.log.merkle import HASH_BYTES
from protocol.log.scoped import BundleItem, Withheld, item_hash

COMMIT_BUNDLES = 256
"""So many bundles are verified between two commits: what a run loses that is killed."""
_FEW_ENVELOPES = 50_000
# A file that changed so shortly before it was looked at may change again and keep the same marks.
_SETTLED_NS = 2_000_000_000
_BOUNDS = ALWAYS.bounds_ms()

Progress = Callable[[int, int], None]
Marks = Mapping[str, FileMark | None]


class NotKeptError(Exception):
    """Something is wrong with the files of the mirror: that is for a verification from the beginning to say."""


class _OtherHistoryError(Exception):
    """The mirror does not begin with what is kept."""


def verify_kept(
    mirror: LogMirror,
    head: VerifiedCheckpoint,
    directory: Directory,
    plan: VerifyPlan,
    keeper: Keeper,
    progress: Progress | None,
) -> VerifiedLog:
    """Verify ``mirror`` on from what ``keeper`` has, and keep it; raises :class:`NotKeptError` and as verify_mirror."""
    ledger = Ledger(keeper, mirror.verifier.origin)
    work = _Continued(mirror, head, directory, plan, progress)
    if not plan.anew:
        ledger.read()
        if work.is_as_it_was(ledger.state):
            return work.unchanged(ledger)
        if ledger.state.size > head.checkpoint.size:
            raise NotKeptError  # an older copy of the mirror: what is kept of the newer one stays
    ledger.begin(anew=plan.anew)
    try:
        try:
            return work.go_on(ledger)
        except _OtherHistoryError:
            ledger.begin(anew=True)
            return work.go_on(ledger)
    except BaseException:
        ledger.close()
        raise
    finally:
        ledger.end()


class _Continued:
    """One run over one mirror."""

    def __init__(
        self,
        mirror: LogMirror,
        head: VerifiedCheckpoint,
        directory: Directory,
        plan: VerifyPlan,
        progress: Progress | None,
    ) -> None:
        self._mirror = mirror
        self._folder = mirror.folder
        self._head = head
        self._directory = directory
        self._plan = plan
        self._progress = progress
        self._whole = head.checkpoint.size // TILE_WIDTH
        self._verifier = sha256(repr(mirror.verifier).encode()).digest()
        self._marks = _settled(file_marks(mirror.folder))
        self._files = _digest(self._marks)
        self._known: set[str] = set()  # the files that are those which were read before

    # --- Nothing is new ---

    def is_as_it_was(self, state: KeptState) -> bool:
        """Whether mirror, keys and cards are those of the last run, and that came to its end."""
        return (
            bool(state.files)
            and (state.note, state.files, state.verifier) == (self._head.note, self._files, self._verifier)
            and state.cards == self._cards(state.recipients)
        )

    def unchanged(self, ledger: Ledger) -> VerifiedLog:
        """The log as it was verified before."""
        findings = Findings(self._head.checkpoint.origin)
        return self._log(ledger.state, self._tree(ledger.tile_roots(self._whole), findings), ledger.index())

    # --- Something is ---

    def go_on(self, ledger: Ledger) -> VerifiedLog:
        """Verify what is new, judge anew what may have changed, and keep all of it."""
        account = _Account(ledger.state, ledger.bundles)
        ledger.truncate()
        findings = Findings(self._head.checkpoint.origin)
        tree = self._fitting_tree(account, findings)
        account.bundles = [self._looked_at(at, kept, tree, findings) for at, kept in enumerate(account.bundles)]
        index = ledger.index()
        self._judge_anew(account, index)
        self._take_new(account, tree, ledger, index)
        self._judge_by_rules(account, tree, index)
        state = self._ended(account, tree, index, findings)
        index.complete()
        ledger.commit(state, account.bundles)
        return self._log(state, tree, index)

    def _fitting_tree(self, account: _Account, findings: Findings) -> AuthenticTree:
        try:
            tree = self._tree(b"".join([bundle.root for bundle in account.bundles[: self._whole]]), findings)
            if not account.size or tree.root(account.size) == account.root:
                return tree
        except ProofInvalidError:
            if not account.size:
                raise
        raise _OtherHistoryError

    def _tree(self, known: bytes, findings: Findings) -> AuthenticTree:
        return authentic_tree(self._folder, self._head.checkpoint, findings, known)

    def _looked_at(self, number: int, kept: KeptBundle, tree: AuthenticTree, findings: Findings) -> KeptBundle:
        """A kept bundle, its files compared with the tree if they may be others than those that were read."""
        paths = self._path_of_entries(number, TILE_WIDTH), tile_path(0, number)
        entries, tile = map(self._marks.get, paths)
        if tile is None or tile != kept.tile:
            compare_tile(self._folder, tree, number, findings)
        if entries is None or entries != kept.entries:
            items = self._items(number)
            if len(items) != TILE_WIDTH or tile_root(b"".join(map(item_hash, items))) != kept.root:
                raise NotKeptError
            if _bits(place for place, item in enumerate(items) if isinstance(item, Withheld)) != kept.withheld:
                raise _OtherHistoryError  # the same entries, and another view of them
        if (entries, tile) != (kept.entries, kept.tile):
            return replace(kept, entries=entries, tile=tile)
        self._known.update(paths)
        return kept

    def _path_of_entries(self, number: int, width: int) -> str:
        path = PLAIN.path(number, width)
        return path if path in self._marks else SCOPED.path(number, width)

    def _mark_of_entries(self, number: int, width: int) -> FileMark | None:
        return self._marks.get(self._path_of_entries(number, width))

    def _items(self, number: int) -> list[BundleItem]:
        try:
            return read_items(self._folder, number, TILE_WIDTH)
        except ComityError:
            raise NotKeptError from None

    # --- By the directory ---

    def _cards(self, recipients: Iterable[str]) -> bytes:
        return cards_digest(self._mirror.node, recipients, self._directory)

    def _judge_anew(self, account: _Account, index: EntryIndex) -> None:
        """Judge what is kept by the cards as they are now, if they are others."""
        if not account.size or self._cards(account.recipients) == account.cards:
            return
        keys = desk_keys(self._directory)
        unproved, account.unproved = account.unproved, []
        for number, indexes in groupby(unproved, key=lambda one: one // TILE_WIDTH):
            wanted = set(indexes)
            reading = read_bundle(number * TILE_WIDTH, self._items(number), keys, _BOUNDS)
            account.problems += [problem for problem in reading.problems if problem.number in wanted]
            account.unproved += [one for one in reading.unproved if one in wanted]
        account.keys = list(key_problems(index.from_index(0), self._directory))
        account.rules_to, account.breaches = 0, []

    # --- New entries ---

    def _take_new(self, account: _Account, tree: AuthenticTree, ledger: Ledger, index: EntryIndex) -> None:
        """Verify all new entries; what was verified is kept from time to time."""
        began, job = len(account.bundles), Job(self._folder, desk_keys(self._directory), _BOUNDS)
        for number, result in read_all(job, began, tree.size, self._plan.jobs):
            genuine = isinstance(result, EntryReading) and result.hashes == tree.bundle_hashes(number)
            if number > began and (not genuine or number % COMMIT_BUNDLES == 0):
                ledger.commit(self._state(account, tree), account.bundles)
            if not isinstance(result, EntryReading) or not genuine:
                raise NotKeptError
            self._take(account, tree, index, ledger.chains, number, result)
            if self._progress is not None:
                self._progress(account.size, tree.size)

    def _take(
        self,
        account: _Account,
        tree: AuthenticTree,
        index: EntryIndex,
        chains: Chains,
        number: int,
        reading: EntryReading,
    ) -> None:
        width = len(reading.hashes) // HASH_BYTES
        if width < TILE_WIDTH:
            account.before_tail = chains.touched_by(reading.rows)
        index.add(reading.rows)
        account.take(number * TILE_WIDTH, reading, key_problems(reading.rows, self._directory))
        if account.found > MAX_FINDINGS:
            raise NotKeptError  # too many to be kept
        root = tree.tile_root(number) if width == TILE_WIDTH else bytes(HASH_BYTES)
        marks = self._mark_of_entries(number, width), self._marks.get(tile_path(0, number, width))
        withheld = _bits(one % TILE_WIDTH for one in reading.withheld)
        account.bundles.append(KeptBundle(root, reading.span(), withheld, *marks))

    def _judge_by_rules(self, account: _Account, tree: AuthenticTree, index: EntryIndex) -> None:
        """Judge the events that were not judged by the rules yet, with those of the same envelopes before them."""
        if account.rules_to == account.size:
            return
        few = account.rules_to and account.envelopes is not None
        rows = index.with_envelopes(account.envelopes or ()) if few else index.by_message()
        rules = EventRules(self._mirror.node, self._directory, tree.leaf_hash, _BOUNDS, account.unseen_from)
        for number, at_ms, code, text in rules.breaches(rows):
            if number >= account.rules_to:
                account.breaches.append(Problem(number, at_ms, code, text))
                if account.found > MAX_FINDINGS:
                    raise NotKeptError
        account.rules_to = account.size

    # --- To be kept ---

    def _state(self, account: _Account, tree: AuthenticTree) -> KeptState:
        whole = account.size // TILE_WIDTH * TILE_WIDTH
        return account.state(tree.root(account.size), tree.root(whole), self._cards(account.recipients))

    def _ended(self, account: _Account, tree: AuthenticTree, index: EntryIndex, findings: Findings) -> KeptState:
        """What is kept of a run that came to its end."""
        compare_above(self._folder, tree, findings)
        strange_files(self._folder, (path for path in self._marks if path not in self._known), tree, findings)
        about_files = tuple((finding.code, finding.text) for finding in findings.in_order())
        if len(about_files) > MAX_FINDINGS:
            raise NotKeptError
        opened = _Opened(self._mirror.verifier, account.heads if account.verifier == self._verifier else frozenset())
        checkpoints = (self._head, *other_heads(self._folder, self._head, opened, tree, findings))
        views = _views(account.views)
        times = EntryTimes(tree.size, TILE_WIDTH, lambda first, end: _proved_times(index, views, first, end))
        for bundle in account.bundles:
            times.add(bundle.span)
        return replace(
            self._state(account, tree),
            note=self._head.note,
            files=self._files,
            about_files=about_files,
            false_times=tuple(times.false(checkpoints)),
            heads=frozenset(opened.verified),
            verifier=self._verifier,
        )

    def _log(self, state: KeptState, tree: AuthenticTree, index: EntryIndex) -> VerifiedLog:
        """The log by what is kept of it, with the findings of the period that was asked for."""
        findings = Findings(self._head.checkpoint.origin)
        for code, text in state.about_files:
            findings.add(None, code, text)
        opened = _Opened(self._mirror.verifier, state.heads)
        checkpoints = (self._head, *other_heads(self._folder, self._head, opened, tree, findings))
        first, last = self._plan.period.bounds_ms()
        for problem in (*state.problems, *state.keys):
            if problem.at_ms is None or first <= problem.at_ms <= last:
                findings.add(problem.number, problem.code, problem.text)
        for bad in state.false_times:
            if bad.code in REFUTED or any(first <= ms <= last for ms in (bad.at_ms, bad.logged_ms)):
                findings.add(bad.index, bad.code, bad.text)
        for problem in state.breaches:
            if problem.at_ms is not None and first <= problem.at_ms <= last:
                findings.add(problem.number, problem.code, problem.text)
        return VerifiedLog(
            node=self._mirror.node,
            folder=self._folder,
            head=self._head,
            checkpoints=checkpoints,
            tree=tree,
            index=index,
            findings=findings.in_order(),
            views=tuple(_views(state.views)),
            withheld=state.withheld,
            unread=sum(problem.at_ms is None for problem in state.problems),
            false_times={bad.index: bad.logged_ms for bad in state.false_times},
            unseen_from=state.unseen_from,
        )


class _Account:
    """What was found in the entries so far: of a kept state, its whole bundles, and what is added."""

    def __init__(self, kept: KeptState, bundles: Sequence[KeptBundle]) -> None:
        whole = kept.size // TILE_WIDTH
        self.size = whole * TILE_WIDTH
        self.bundles = list(bundles[:whole])
        self.root = kept.root if kept.size == self.size else kept.whole_root
        self.rules_to = min(kept.rules_to, self.size)
        self.cards = kept.cards
        self.heads, self.verifier = kept.heads, kept.verifier
        self.problems = [one for one in kept.problems if one.number < self.size]
        self.keys = [one for one in kept.keys if one.number < self.size]
        self.breaches = [one for one in kept.breaches if one.number < self.size]
        self.views = [one for one in kept.views if one[0] < self.size]
        self.unproved = [one for one in kept.unproved if one < self.size]
        self.recipients = set(kept.recipients)
        self.withheld = kept.withheld - sum(bundle.withheld.bit_count() for bundle in bundles[whole:])
        seen = kept.unseen_from is None or kept.unseen_from >= self.size
        self.unseen_from = None if seen else kept.unseen_from
        self.before_tail: dict[int, bytes] = {}
        self.envelopes: set[bytes] | None = set()
        """Of the entries that are added; None when they are too many."""

    @property
    def found(self) -> int:
        """How many findings there are."""
        return len(self.problems) + len(self.keys) + len(self.breaches)

    def take(self, first: int, reading: EntryReading, keys: Iterable[Problem]) -> None:
        """Add the entries of a bundle from ``first`` on."""
        self.size = first + len(reading.hashes) // HASH_BYTES
        self.problems += reading.problems
        self.keys += keys
        self.views += [(index, encode_directory_seen(seen)) for index, seen in reading.views]
        self.unproved += reading.unproved
        self.recipients.update(row.recipient for row in reading.rows if row.recipient is not None)
        self.withheld += len(reading.withheld)
        unseen = [*reading.withheld[:1], *reading.unread[:1]]
        if unseen and self.unseen_from is None:
            self.unseen_from = min(unseen)
        if self.envelopes is not None:
            self.envelopes.update(row.digest for row in reading.rows)
            if len(self.envelopes) > _FEW_ENVELOPES:
                self.envelopes = None

    def state(self, root: bytes, whole_root: bytes, cards: bytes) -> KeptState:
        """What is kept of it."""
        return KeptState(
            size=self.size,
            root=root,
            whole_root=whole_root,
            rules_to=self.rules_to,
            cards=cards,
            problems=tuple(self.problems),
            keys=tuple(self.keys),
            breaches=tuple(self.breaches),
            views=tuple(self.views),
            unproved=tuple(self.unproved),
            recipients=frozenset(self.recipients),
            withheld=self.withheld,
            unseen_from=self.unseen_from,
            before_tail=self.before_tail,
        )


class _Opened:
    """Opens the log's heads; those whose signatures were verified before under the same keys are ``known`` by hash."""

    def __init__(self, verifier: LogVerifier, known: frozenset[bytes]) -> None:
        self._verifier = verifier
        self._known = known
        self.verified: set[bytes] = set()

    def __call__(self, note: bytes) -> VerifiedCheckpoint:
        name = sha256(note).digest()
        opened = (reopen_checkpoint if name in self._known else verify_checkpoint)(note, self._verifier)
        self.verified.add(name)
        return opened


def _views(kept: Iterable[tuple[int, bytes]]) -> list[LoggedView]:
    decoded = ((index, decode_entry(entry)) for index, entry in kept)
    return [LoggedView(index, seen) for index, seen in decoded if isinstance(seen, DirectorySeen)]


def _proved_times(index: EntryIndex, views: Iterable[LoggedView], first: int, end: int) -> Iterator[tuple[int, int]]:
    index.prove()
    return times_of(index, views, first, end)


def _bits(places: Iterable[int]) -> int:
    return sum(1 << place for place in places)


def _settled(marks: Marks) -> Marks:
    """The marks of files that did not change just now."""
    latest = time.time_ns() - _SETTLED_NS
    if all(mark is not None and mark.changed_ns < latest for mark in marks.values()):
        return marks
    return {path: mark if mark is not None and mark.changed_ns < latest else None for path, mark in marks.items()}


def _digest(marks: Marks) -> bytes:
    """The digest of all marks; b"" if a file has none."""
    numbers = array("q")
    for mark in marks.values():
        if mark is None:
            return b""
        numbers.extend(mark)
    paths = "\0".join(marks).encode("utf-8", "surrogateescape")
    return sha256(sha256(paths).digest() + numbers.tobytes()).digest()
