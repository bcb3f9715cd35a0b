-- Files that are not what their senders said: kept apart, with what differs. The message and the sealed file's name are
-- blinded; the value is sealed under a content key and goes with the case.

CREATE TABLE file_quarantine (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    message BLOB NOT NULL,
    name    BLOB NOT NULL,
    sealed  BLOB NOT NULL,
    slot    BLOB,
    UNIQUE (message, name)
) STRICT;

-- Files that are exchanged by their hash alone, and that two officers let go all the same. The hash is blinded.

CREATE TABLE file_allowed (
    seq    INTEGER PRIMARY KEY AUTOINCREMENT,
    file   BLOB NOT NULL UNIQUE,
    sealed BLOB NOT NULL
) STRICT;
