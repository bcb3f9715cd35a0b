-- Requests to several nations: what this desk alone knows of them, by the parent, and the parent of each child's thread.

CREATE TABLE parent (
    id     BLOB PRIMARY KEY,
    sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE parent_of (
    thread BLOB PRIMARY KEY,
    sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Messages of the outbox that go at an instant of their own, and not before.

CREATE TABLE held (
    seq    INTEGER PRIMARY KEY,
    sealed BLOB NOT NULL
) STRICT;
