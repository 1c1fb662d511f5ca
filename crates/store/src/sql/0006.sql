-- Where it stood before it was released, oldest first: `added seq`, with commas between.
ALTER TABLE object ADD COLUMN former {text};
-- Its own marks without the times that had passed when it came, if there were any.
ALTER TABLE object ADD COLUMN counts {int};
CREATE INDEX object_counts ON object (counts) WHERE counts IS NOT NULL;
