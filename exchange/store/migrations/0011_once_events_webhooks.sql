-- What was done under a key, so that the same act under the same key is done once. The key is blinded with the officer
-- whose it is. The sealed value, under a content key, tells one draft from another: it goes when what was sent is
-- erased, and the row stays, so that the key never sends again.

CREATE TABLE once (
    id     BLOB PRIMARY KEY,
    sealed BLOB NOT NULL,
    slot   BLOB
) STRICT, WITHOUT ROWID;

-- The messages or drafts that it led to, in order; ref finds them when a message is erased.
CREATE TABLE once_result (
    seq    INTEGER PRIMARY KEY AUTOINCREMENT,
    once   BLOB NOT NULL,
    ref    BLOB NOT NULL,
    sealed BLOB NOT NULL
) STRICT;
CREATE INDEX once_result_once ON once_result (once, seq);
CREATE INDEX once_result_ref ON once_result (ref);

-- What happened at this desk, in order, for programs that follow it: ids and kinds, no content. The latest are kept.
CREATE TABLE event (
    seq    INTEGER PRIMARY KEY AUTOINCREMENT,
    sealed BLOB NOT NULL
) STRICT;

-- Notices on their way to a webhook, in order; the target is blinded. A row goes when the receiver took it. The number
-- of a row is given once.
CREATE TABLE webhook (
    seq    INTEGER PRIMARY KEY AUTOINCREMENT,
    target BLOB NOT NULL,
    sealed BLOB NOT NULL
) STRICT;
CREATE INDEX webhook_target ON webhook (target, seq);
