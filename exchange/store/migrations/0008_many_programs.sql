-- Several programs work on a desk at once. The mark of a stale thread tells one change from the next: a program that
-- derived the agenda of a thread takes only the mark away that it read before.

ALTER TABLE agenda_stale ADD COLUMN mark BLOB NOT NULL DEFAULT x'';
