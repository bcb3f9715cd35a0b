-- What was offered under conditions and waits for their acceptance, by the id of the offer; and the messages whose
-- conditions are not accepted here, which are not indexed until they are.

CREATE TABLE withheld (
    id     BLOB PRIMARY KEY,
    sealed BLOB NOT NULL,
    slot   BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE closed (
    seq INTEGER PRIMARY KEY
) STRICT;

-- Drafts and notes of a case are erased with it, also in copies of this database: they are sealed under content keys too.
ALTER TABLE draft ADD COLUMN slot BLOB;
ALTER TABLE casework ADD COLUMN slot BLOB;
