-- What the office notes for itself about a case: notes, who works on it, until when it waits. Entries are added, never
-- changed; the case is blinded and the entry sealed, as elsewhere.

CREATE TABLE casework (
    seq    INTEGER PRIMARY KEY AUTOINCREMENT,
    thread BLOB NOT NULL,
    sealed BLOB NOT NULL
) STRICT;
CREATE INDEX casework_thread ON casework (thread, seq);
