-- Files that are sealed on the shelf beside the database. Each row says to what it belongs (a message, or a draft that
-- is not sent yet), its name, and its place on the shelf, all blinded. The value is sealed under a content key and holds
-- the file's own key: when the case is erased, neither opens any more.

CREATE TABLE file (
    seq    INTEGER PRIMARY KEY AUTOINCREMENT,
    owner  BLOB NOT NULL,
    name   BLOB NOT NULL,
    place  BLOB NOT NULL,
    sealed BLOB NOT NULL,
    slot   BLOB,
    UNIQUE (owner, name)
) STRICT;
CREATE INDEX file_name ON file (name);
CREATE INDEX file_place ON file (place);

-- Those that no message has yet.

CREATE TABLE file_unsent (
    seq INTEGER PRIMARY KEY
) STRICT;

-- The files of a message on their way: how many, how far, and what stands in the way.

CREATE TABLE file_transfer (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    message BLOB NOT NULL UNIQUE,
    sealed  BLOB NOT NULL
) STRICT;

-- Those that go on by themselves.

CREATE TABLE file_transfer_open (
    seq INTEGER PRIMARY KEY
) STRICT;
