-- Which contact points were tested by which message, so that the latest test of each is found at once. The contact
-- point is blinded and the message's id sealed, as elsewhere.

CREATE TABLE contact_test (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    contact BLOB NOT NULL,
    message BLOB NOT NULL
) STRICT;
CREATE INDEX contact_test_contact ON contact_test (contact, seq);
