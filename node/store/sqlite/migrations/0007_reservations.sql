-- When files were announced, or some of them came last: the time runs from then after which the room and the quota that
-- were reserved for the rest may be others'. Written from time to time. Empty for what was announced to earlier versions.
ALTER TABLE file_set ADD COLUMN moved_ms INTEGER;
-- Why files were let go that nobody had been handed: a reason of a FileExpiry. Empty for those that were deleted, and for what
-- ended under earlier versions.
ALTER TABLE file_set ADD COLUMN end_reason TEXT;
