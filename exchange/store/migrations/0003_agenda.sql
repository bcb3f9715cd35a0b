-- What is due in each thread that has something due, derived from its messages and receipts and sealed like them. A
-- thread whose messages or receipts changed since is stale until it is derived again. A notice is given once: its
-- blinded id says that it was.

CREATE TABLE agenda (
    thread BLOB PRIMARY KEY,
    sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE agenda_stale (
    thread BLOB PRIMARY KEY
) STRICT, WITHOUT ROWID;

CREATE TABLE notice (
    id BLOB PRIMARY KEY
) STRICT, WITHOUT ROWID;

INSERT INTO agenda_stale SELECT DISTINCT thread FROM message;
