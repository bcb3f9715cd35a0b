-- Everything a node keeps. One writer; a batch of operations is one transaction.
-- Instants are Unix milliseconds. Leaf indexes count from 0.

-- The last number given to a mailbox entry or an outbound row: numbers are never reused, also not after a purge.
CREATE TABLE sequence (
    id   INTEGER PRIMARY KEY CHECK (id = 0),
    last INTEGER NOT NULL
) STRICT;
INSERT INTO sequence (id, last) VALUES (0, 0);

-- The log's leaves. The checkpoint that released a leaf is the smallest one that covers it.
CREATE TABLE event (
    idx       INTEGER PRIMARY KEY,
    leaf      BLOB NOT NULL,
    name      TEXT NOT NULL,
    message   INTEGER,  -- message.id; empty for rejections
    recipient TEXT,
    rejection BLOB      -- what makes a repeated rejection the same one
) STRICT;
CREATE INDEX event_message ON event (message) WHERE message IS NOT NULL;
CREATE UNIQUE INDEX event_rejection ON event (rejection) WHERE rejection IS NOT NULL;

CREATE TABLE checkpoint (
    size INTEGER PRIMARY KEY,
    root BLOB NOT NULL,
    note BLOB NOT NULL
) STRICT;

CREATE TABLE tile (
    level  INTEGER NOT NULL,
    idx    INTEGER NOT NULL,
    hashes BLOB NOT NULL,
    PRIMARY KEY (level, idx)
) STRICT, WITHOUT ROWID;

-- One row per accepted envelope; its id is the index of the event that accepted it.
-- "holds" counts who still needs the payload: mailboxes not handed over, partners not served.
CREATE TABLE message (
    id         INTEGER PRIMARY KEY,
    message_id BLOB NOT NULL,
    sender     TEXT NOT NULL,
    digest     BLOB NOT NULL,
    peer       TEXT,    -- the node that handed it over; empty if it was submitted here
    expires_ms INTEGER NOT NULL,
    holds      INTEGER NOT NULL CHECK (holds >= 0)
) STRICT;
CREATE UNIQUE INDEX message_by_id ON message (message_id, sender);
CREATE INDEX message_held ON message (expires_ms) WHERE holds > 0;
CREATE INDEX message_free ON message (expires_ms) WHERE holds = 0;

-- The envelope as received, once, whatever the number of its recipients.
CREATE TABLE payload (
    message INTEGER PRIMARY KEY,
    raw     BLOB NOT NULL
) STRICT;

-- kind 0: the message itself; kind 1: receipts about a message this desk sent.
CREATE TABLE mailbox (
    desk      TEXT NOT NULL,
    seq       INTEGER NOT NULL,
    kind      INTEGER NOT NULL,
    message   INTEGER NOT NULL,
    event     INTEGER,  -- own leaf: the consignment (kind 0), or what the receipt is of (kind 1)
    closed_ms INTEGER,
    PRIMARY KEY (desk, seq)
) STRICT, WITHOUT ROWID;
-- Exactly once: a message has one entry in a mailbox.
CREATE UNIQUE INDEX mailbox_message ON mailbox (message, desk) WHERE kind = 0;
CREATE INDEX mailbox_receipts ON mailbox (message) WHERE kind = 1;

-- kind 0: the envelope to POST /v1/transfer; kind 1: the receipt of "event" to POST /v1/receipts.
CREATE TABLE outbound (
    id         INTEGER PRIMARY KEY,
    partner    TEXT NOT NULL,
    kind       INTEGER NOT NULL,
    rank       INTEGER NOT NULL,  -- lower goes first
    next_ms    INTEGER NOT NULL,
    message    INTEGER NOT NULL,
    digest     BLOB NOT NULL,
    event      INTEGER,
    expires_ms INTEGER,  -- empty for receipts
    attempts   INTEGER NOT NULL DEFAULT 0,
    error      TEXT
) STRICT;
CREATE INDEX outbound_due ON outbound (partner, kind, rank, next_ms);

CREATE TABLE foreign_checkpoint (
    id     INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,  -- SHA-256 of the note
    note   BLOB NOT NULL,
    keep_until_ms INTEGER NOT NULL  -- no message with a receipt under it expires later
) STRICT;

-- Receipts of other nodes' logs; seq is the mailbox entry that shows them to the sender.
CREATE TABLE foreign_receipt (
    origin     TEXT NOT NULL,
    idx        INTEGER NOT NULL,
    seq        INTEGER NOT NULL,
    checkpoint INTEGER NOT NULL REFERENCES foreign_checkpoint (id),
    leaf       BLOB NOT NULL,
    path       BLOB NOT NULL,
    PRIMARY KEY (origin, idx)
) STRICT, WITHOUT ROWID;
CREATE INDEX foreign_receipt_seq ON foreign_receipt (seq);

-- The newest checkpoint seen of each other log: what makes this node a witness.
CREATE TABLE peer_checkpoint (
    origin TEXT PRIMARY KEY,
    size   INTEGER NOT NULL,
    root   BLOB NOT NULL,
    note   BLOB NOT NULL
) STRICT, WITHOUT ROWID;
