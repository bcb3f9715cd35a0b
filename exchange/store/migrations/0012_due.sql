-- What is due, and how each case stands, as they were derived: a row of a thread that is derived again gets a new number,
-- so that a program which has read the rows before asks for the newer ones alone. An empty value says: nothing.

DROP TABLE agenda;

CREATE TABLE agenda (
    seq    INTEGER PRIMARY KEY AUTOINCREMENT,
    thread BLOB NOT NULL UNIQUE,
    sealed BLOB NOT NULL
) STRICT;

CREATE TABLE standing (
    seq    INTEGER PRIMARY KEY AUTOINCREMENT,
    thread BLOB NOT NULL UNIQUE,
    sealed BLOB NOT NULL
) STRICT;

INSERT INTO agenda_stale (thread, mark) SELECT DISTINCT thread, randomblob(8) FROM message WHERE true
    ON CONFLICT DO UPDATE SET mark = excluded.mark;

-- Why a message of the outbox was not taken when it was last offered; and what became of a message that was not
-- delivered: what was sent in its place, or why nothing is.

CREATE TABLE waiting (
    id     BLOB PRIMARY KEY,
    sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE settled (
    id     BLOB PRIMARY KEY,
    sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- How the directory said that a sender is called when the message came: the card as it was, once, and which message
-- came under which.

CREATE TABLE card_seen (
    id     BLOB PRIMARY KEY,
    sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE message_card (
    id     BLOB PRIMARY KEY,
    sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Who was called back about a case and what came of it, and who let something pass without.

CREATE TABLE call_back (
    seq    INTEGER PRIMARY KEY AUTOINCREMENT,
    thread BLOB NOT NULL,
    sealed BLOB NOT NULL,
    slot   BLOB
) STRICT;
CREATE INDEX call_back_thread ON call_back (thread, seq);

-- What came by other ways than Comity, and is not proved.

CREATE TABLE unproved (
    seq    INTEGER PRIMARY KEY AUTOINCREMENT,
    id     BLOB NOT NULL UNIQUE,
    sealed BLOB NOT NULL,
    slot   BLOB
) STRICT;
