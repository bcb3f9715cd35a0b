"""What the operator's monitoring reads: counters and gauges in the Prometheus text format. No ids, no addresses."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from node.store.reads import StoreStats

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """All metrics of one node, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        registry = self._registry

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"comity_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"comity_{name}", text, labels, registry=registry)

        self.requests = counter("requests", "HTTP requests answered", "route", "status")
        self.request_seconds = Histogram(
            "comity_request_seconds",
            "Time to answer, long polls excluded",
            ("route",),
            buckets=_SECONDS,
            registry=registry,
        )
        self.refusals = counter("refusals", "Requests and items refused", "route", "code")
        self.accepted = counter("accepted", "Envelopes, statements and receipts taken, repeats included", "route")
        self.waiting = gauge("waiting_polls", "Long polls and event streams open")
        self.delivered = counter("delivered", "Envelopes and receipts that partners took", "partner", "kind")
        self.delivery_failures = counter("delivery_failures", "Attempts to deliver that failed", "partner", "code")
        self.partner_up = gauge("partner_up", "1 if the last exchange with the partner worked", "partner")
        self.distrusted = gauge(
            "partner_log_distrusted", "1 if the partner's log contradicted itself: ALARM", "partner"
        )
        self.proofs = gauge(
            "misbehaviour_proofs", "Proofs held that a log lied, not settled by the operator: ALARM", "partner", "kind"
        )
        self.monitor_failures = counter(
            "monitor_failures", "Checks of a partner's log not completed", "partner", "code"
        )
        self.proved_size = gauge("partner_log_size", "Size to which the partner's log is proved consistent", "partner")
        self.cosigned = counter("cosigned", "Checkpoints of partners' logs that this node cosigned", "partner")
        self.cosignature_failures = counter(
            "cosignature_failures", "Requests to a partner to cosign a checkpoint that failed", "partner", "code"
        )
        self.witnessed_size = gauge("witnessed_log_size", "Size up to which enough witnesses cosigned this node's log")
        self.directory_version = gauge("directory_version", "Version of the verified directory")
        self.directory_expires = gauge("directory_expires_timestamp_seconds", "When the directory must be refreshed")
        self.expires = gauge("expires_timestamp_seconds", "When what is ours in the directory ends", "what")
        self.directory_refresh_failures = counter("directory_refresh_failures", "Refreshes that no source served")
        self.directory_disagreement = gauge(
            "directory_source_disagrees", "1 if this source disagrees about the directory: ALARM", "source", "how"
        )
        self.directory_nations_left_out = gauge("directory_nations_left_out", "Nations whose cards cannot be used")
        self.clock_offset = gauge(
            "clock_offset_seconds", "How far the partner's time is ahead of this node's, as last heard", "partner"
        )
        self.disk_errors = counter("disk_errors", "Uses of this node's own files that failed", "file", "use", "cause")
        self.disk_failing = gauge(
            "disk_failing", "1 while a file of this node cannot be used: ALARM", "file", "use", "cause"
        )
        self.disk_size = gauge("disk_size_bytes", "Size of the disk that a folder of this node lies on", "folder")
        self.disk_free = gauge("disk_free_bytes", "What is free on that disk", "folder")
        self.expired = counter("expired", "Messages that expired undelivered or unclaimed")
        self.internal_errors = counter("internal_errors", "Defects met while answering: report them")
        self.tasks_interrupted = counter(
            "tasks_interrupted", "Background tasks that the operating system refused something, begun again", "task"
        )
        self.file_bytes = counter("file_bytes", "Bytes of files taken, handed out to who fetches, and sent", "way")
        self.files_announced = counter("files_announced", "Messages whose files were announced here")
        self.files_whole = counter("files_whole", "Messages whose files became whole here")
        self.files_ended = counter("files_ended", "Messages whose files were let go here", "how")
        self.file_segments_lost = counter(
            "file_segments_lost", "Segments that were here and were found missing or altered: ALARM"
        )
        self._file_sets = gauge("file_sets", "Messages whose files are kept here, or on their way here")
        self._file_total = gauge("file_bytes_reserved", "Bytes that these files take when they are whole")
        self._outbound = gauge("outbound_waiting", "Rows that wait for a partner", "partner")
        self._log_size = gauge("log_size", "Entries of this node's log")
        self._mailbox = gauge("mailbox_open", "Messages in mailboxes that no desk has taken over yet")
        self._payloads = gauge("payloads", "Sealed messages held")
        self._database = gauge("database_bytes", "Size of the database file")
        self._wal = gauge("wal_bytes", "Size of the write-ahead log")
        self._pending = gauge("sequencer_pending", "Operations that wait to be written")
        self._halted = gauge("sequencer_halted", "1 if nothing can be written: ALARM")
        self._add_looked_at(gauge)

    def _add_looked_at(self, gauge: Callable[..., Gauge]) -> None:
        """What is looked at when somebody asks for the metrics."""
        self.failing_seconds = gauge(
            "partner_takes_nothing_seconds", "Since when a partner took nothing of what waits for it", "partner"
        )
        self.needs_operator = gauge(
            "partner_needs_operator",
            "1 if a partner took nothing for so long that its operator is to be called: ALARM",
            "partner",
            "because",
        )
        self.emergencies = gauge("outbound_emergencies", "Emergencies that wait for the partner", "partner")
        self.too_few_witnesses = gauge("too_few_witnesses", "1 if too few partners cosign this log for too long: ALARM")
        self.backup_needed = gauge("backup_needed", "1 if a backup is to be made, checked or tried out", "attention")
        self.not_renewed = gauge("checkpoint_not_renewed", "1 while the newest checkpoint cannot be signed anew: ALARM")
        self.behind_witness = gauge(
            "log_behind_witness", "1 if a witness cosigned a larger tree than this log has: ALARM", "partner"
        )
        self.not_admitted = gauge("not_admitted", "1 if the directory has no card of this node")
        self.backup_at = gauge("backup_timestamp_seconds", "When a backup of this node was made last, here", "what")
        self.first_start = gauge("first_start_timestamp_seconds", "When this home's node began for the first time")

    def render(self, stats: StoreStats | None, pending: int, halted: bool) -> bytes:
        """The exposition; ``stats`` is None when the store cannot be read."""
        self._pending.set(pending)
        self._halted.set(halted)
        if stats is not None:
            self._log_size.set(stats.log_size)
            self._mailbox.set(stats.mailbox_open)
            self._payloads.set(stats.payload_count)
            self._database.set(stats.database_bytes)
            self._wal.set(stats.wal_bytes)
            self._file_sets.set(stats.file_sets)
            self._file_total.set(stats.file_bytes)
            self._outbound.clear()
            for partner, count in stats.outbound.items():
                self._outbound.labels(partner).set(count)
        return generate_latest(self._registry)
