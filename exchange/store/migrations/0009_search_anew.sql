-- Words are cut and folded otherwise from now on: what is stored is indexed anew, in quiet moments.

DROP TABLE word;

CREATE TABLE word (
    word BLOB NOT NULL,
    seq  INTEGER NOT NULL,
    PRIMARY KEY (word, seq)
) STRICT, WITHOUT ROWID;
