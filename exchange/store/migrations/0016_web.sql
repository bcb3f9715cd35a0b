-- How officers read and sign in in a browser: language, zone, sound, the secret of codes of an app. The officer is blinded.
CREATE TABLE web_officer (
    id     BLOB PRIMARY KEY,
    sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Passkeys, each with the officer's key wrapped by it where it can do that. The credential's id and the officer are
-- blinded.
CREATE TABLE web_passkey (
    id      BLOB PRIMARY KEY,
    officer BLOB NOT NULL,
    sealed  BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX web_passkey_officer ON web_passkey (officer);
