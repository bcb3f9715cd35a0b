-- Who an envelope in the queue is meant for behind the partner: addresses, separated by spaces.
ALTER TABLE outbound ADD COLUMN recipients TEXT;
