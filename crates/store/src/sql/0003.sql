-- A reader who may see little of much is answered from what has one mark, in the order of pages.
DROP INDEX object_policy;
CREATE INDEX object_policy ON object (policy, seq, collection, kind);
-- Whether anything has a policy still: what most objects have in `own` is in `policy` too, and nothing in `given`.
CREATE INDEX object_own ON object (own) WHERE own <> policy;
CREATE INDEX object_given ON object (given) WHERE given <> 0;
CREATE INDEX tombstone_policy ON tombstone (policy);
CREATE INDEX tombstone_own ON tombstone (own);
CREATE INDEX case_policy ON case_file (policy);
CREATE INDEX case_message_policy ON case_message (policy);
CREATE INDEX due_policy ON due (policy);
