-- The largest tree of each other log that this node's witness cosigned: the checkpoint, with its cosignatures.
CREATE TABLE cosigned (
    origin TEXT PRIMARY KEY,
    size   INTEGER NOT NULL,
    root   BLOB NOT NULL,
    note   BLOB NOT NULL
) STRICT, WITHOUT ROWID;
