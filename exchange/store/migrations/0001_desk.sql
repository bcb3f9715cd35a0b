-- A desk's database. Columns hold row numbers, blinded ids (HMAC-SHA256 under the desk's index key, with what the id
-- is for) and sealed values (AES-256-GCM under the desk's database key, bound to table, column and row). A reader of
-- this file learns how many rows there are, which belong together, and how long they are.

CREATE TABLE message (
    seq    INTEGER PRIMARY KEY AUTOINCREMENT,
    id     BLOB NOT NULL UNIQUE,
    digest BLOB NOT NULL UNIQUE,
    thread BLOB NOT NULL,
    box    BLOB NOT NULL,
    head   BLOB NOT NULL,
    body   BLOB NOT NULL
) STRICT;
CREATE INDEX message_thread ON message (thread, seq);
CREATE INDEX message_box ON message (box, seq);

-- Sent messages that the own node has not accepted yet.
CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY,
    id  BLOB NOT NULL UNIQUE
) STRICT;

-- Sent messages and statements that the own node refused for good.
CREATE TABLE refusal (
    id     BLOB PRIMARY KEY,
    sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- When an officer first opened a received message.
CREATE TABLE opening (
    id     BLOB PRIMARY KEY,
    sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Signed statements that the own node has not logged yet.
CREATE TABLE statement (
    seq    INTEGER PRIMARY KEY AUTOINCREMENT,
    id     BLOB NOT NULL UNIQUE,
    sealed BLOB NOT NULL
) STRICT;

CREATE TABLE quarantine (
    seq    INTEGER PRIMARY KEY AUTOINCREMENT,
    digest BLOB NOT NULL UNIQUE,
    head   BLOB NOT NULL,
    body   BLOB NOT NULL
) STRICT;

CREATE TABLE receipt (
    seq    INTEGER PRIMARY KEY AUTOINCREMENT,
    id     BLOB NOT NULL UNIQUE,
    digest BLOB NOT NULL,
    sealed BLOB NOT NULL
) STRICT;
CREATE INDEX receipt_digest ON receipt (digest, seq);

CREATE TABLE checkpoint (
    id     BLOB PRIMARY KEY,
    sealed BLOB NOT NULL
) STRICT;

-- The mailbox cursor, and the last head seen of each log.
CREATE TABLE state (
    id     BLOB PRIMARY KEY,
    sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;
