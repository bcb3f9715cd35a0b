-- From and to which nations the message of an entry goes, separated by spaces: whose auditors may read it. Empty for
-- entries about no message, for erased ones, and where it is not known; then no other nation's auditor reads it.
ALTER TABLE event ADD COLUMN nations TEXT;
