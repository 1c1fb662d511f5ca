ALTER TABLE tombstone ADD COLUMN origin {text};
