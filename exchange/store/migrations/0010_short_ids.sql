-- Messages by the blinded beginnings and ends of their ids, so that a short id is found without opening every head.

CREATE TABLE short_id (
    part BLOB NOT NULL,
    seq  INTEGER NOT NULL,
    PRIMARY KEY (part, seq)
) STRICT, WITHOUT ROWID;

-- Up to which message they are still to be made: the key is not known here. The program does it when it opens.
CREATE TABLE short_id_left (
    seq INTEGER PRIMARY KEY
) STRICT;

INSERT INTO short_id_left (seq) SELECT max(seq) FROM message HAVING count(*) > 0;
