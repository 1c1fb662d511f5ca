ALTER TABLE tombstone ADD COLUMN leaf {int};
ALTER TABLE tombstone ADD COLUMN salt {blob};

CREATE TABLE sealing_key (
    id {text} PRIMARY KEY, organisation {text} NOT NULL REFERENCES organisation(id), person {text} REFERENCES person(id),
    public_key {text} NOT NULL UNIQUE, label {text} NOT NULL, created {int} NOT NULL, retired {int}
){clustered};
CREATE INDEX sealing_key_organisation ON sealing_key (organisation);
