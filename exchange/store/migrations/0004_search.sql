-- Which words stand in which message, for searching without opening every message. A word is the first eight bytes of
-- its blinded form: a reader of this file learns which messages share words, and how many, not which words they are.

CREATE TABLE word (
    word BLOB NOT NULL,
    seq  INTEGER NOT NULL,
    PRIMARY KEY (word, seq)
) STRICT, WITHOUT ROWID;
