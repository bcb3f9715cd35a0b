-- The messages that nobody here opened, by box, so that they are found without looking at all that was opened. A message
-- of this desk's own may stand here too: nobody reads those of its box.

CREATE TABLE unopened (
    box BLOB NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (box, seq)
) STRICT, WITHOUT ROWID;

INSERT INTO unopened (box, seq)
    SELECT m.box, m.seq FROM message m LEFT JOIN opening o ON o.id = m.id WHERE o.id IS NULL;

-- What another desk has, and nobody opened there, is due from now on: each thread is derived again.

INSERT INTO agenda_stale (thread, mark) SELECT DISTINCT thread, randomblob(8) FROM message WHERE true
    ON CONFLICT DO UPDATE SET mark = excluded.mark;
