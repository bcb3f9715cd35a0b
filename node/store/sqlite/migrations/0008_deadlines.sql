-- When a message that waits is late: when its sender wants an acknowledgement, or when it expires, whichever is first.
-- Empty for receipts. Rows of earlier versions know the expiry alone.
ALTER TABLE outbound ADD COLUMN deadline_ms INTEGER;
UPDATE outbound SET deadline_ms = expires_ms;
CREATE INDEX outbound_deadline ON outbound (partner, deadline_ms) WHERE deadline_ms IS NOT NULL;
