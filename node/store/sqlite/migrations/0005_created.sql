-- When the message was made, as its sender signed it: of an event at a node, the log of who served the office since then
-- counts. Empty for messages of before this step: then the log of whoever served it at any time does.
ALTER TABLE message ADD COLUMN created_ms INTEGER;
