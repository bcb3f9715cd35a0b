-- What is known here of the files of a message: what its header commits to, and the list once it was announced.
-- "payer" is whose room they take: the desk that submitted the message, or the node that brought it.
-- "ended_ms": nothing of them is kept here any more. Segments lie outside the database.
CREATE TABLE file_set (
    message    INTEGER PRIMARY KEY,  -- message.id
    digest     BLOB NOT NULL UNIQUE,  -- the envelope's
    set_digest BLOB NOT NULL,
    files      INTEGER NOT NULL,
    bytes      INTEGER NOT NULL,
    payer      TEXT NOT NULL,
    list       BLOB,
    may_rest   INTEGER NOT NULL DEFAULT 1,  -- whether they may stay here longer than the hand-over takes
    whole_ms   INTEGER,
    done_ms    INTEGER,  -- nobody waits for them here any more
    ended_ms   INTEGER,
    expires_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX file_set_kept ON file_set (expires_ms) WHERE ended_ms IS NULL;
CREATE INDEX file_set_payer ON file_set (payer, bytes) WHERE list IS NOT NULL AND ended_ms IS NULL;

-- Who is to get them from here: a partner's node or a desk served here (an address has an @, a node's name has none).
-- state 0: waits; 1: has them, as its log or its desk states; 2: is to be told that they were taken back; 3: gets none.
CREATE TABLE file_hop (
    message INTEGER NOT NULL,
    party   TEXT NOT NULL,
    recipients TEXT NOT NULL,  -- addresses, separated by spaces
    state   INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (message, party)
) STRICT, WITHOUT ROWID;
CREATE INDEX file_hop_waiting ON file_hop (party, message) WHERE state IN (0, 2);

-- What was logged of them, so that it is logged once: "file" is a name, empty for the set, a root for some of it; "party" a desk, or ''.
CREATE TABLE file_event (
    message INTEGER NOT NULL,
    event   TEXT NOT NULL,
    party   TEXT NOT NULL,
    file    BLOB NOT NULL,
    idx     INTEGER NOT NULL,
    PRIMARY KEY (message, event, party, file)
) STRICT, WITHOUT ROWID;
