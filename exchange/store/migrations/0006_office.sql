-- Officers of the desk, what each has read, drafts that wait for another officer, shifts and hand-overs, the local
-- records (their leaf hashes in the clear: a salted hash says nothing), and where the key of each message's content is.

CREATE TABLE officer (
    id     BLOB PRIMARY KEY,
    sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE reading (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    id      BLOB NOT NULL,
    officer BLOB NOT NULL,
    sealed  BLOB NOT NULL,
    UNIQUE (id, officer)
) STRICT;

CREATE TABLE draft (
    seq    INTEGER PRIMARY KEY AUTOINCREMENT,
    id     BLOB NOT NULL UNIQUE,
    sealed BLOB NOT NULL
) STRICT;

CREATE TABLE duty (
    seq    INTEGER PRIMARY KEY AUTOINCREMENT,
    id     BLOB NOT NULL UNIQUE,
    sealed BLOB NOT NULL
) STRICT;

-- Entry n of the log of local records is row n + 1.
CREATE TABLE record (
    seq    INTEGER PRIMARY KEY,
    leaf   BLOB NOT NULL,
    sealed BLOB NOT NULL
) STRICT;

-- The place of the content's key in the file of content keys; none where the content is sealed under the desk's key.
ALTER TABLE message ADD COLUMN slot BLOB;
