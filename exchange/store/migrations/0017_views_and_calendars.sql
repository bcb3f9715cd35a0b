-- Views of the list of cases that officers keep: the name and what is looked for, sealed; the officer is blinded.

CREATE TABLE saved_view (
    id      BLOB PRIMARY KEY,
    officer BLOB NOT NULL,
    sealed  BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX saved_view_officer ON saved_view (officer);

-- Who may fetch the calendar without a session. The token is not here: only a blinded hash of it, by which it is found.

CREATE TABLE calendar_token (
    seq    INTEGER PRIMARY KEY AUTOINCREMENT,
    hash   BLOB NOT NULL UNIQUE,
    sealed BLOB NOT NULL
) STRICT;

-- How a case stands says its labels from now on: each is derived again.

INSERT INTO agenda_stale (thread, mark) SELECT DISTINCT thread, randomblob(8) FROM message WHERE true
    ON CONFLICT DO UPDATE SET mark = excluded.mark;
