CREATE TABLE setting (name {text} PRIMARY KEY, value {text} NOT NULL){clustered};

CREATE TABLE organisation (
    id {text} PRIMARY KEY, name {text} NOT NULL, sectors {text} NOT NULL, active {int} NOT NULL, created {int} NOT NULL
){clustered};
CREATE TABLE client (
    client {text} NOT NULL REFERENCES organisation(id), provider {text} NOT NULL REFERENCES organisation(id),
    PRIMARY KEY (client, provider)
){clustered};
CREATE TABLE person (
    id {text} PRIMARY KEY, organisation {text} NOT NULL REFERENCES organisation(id), name {text} NOT NULL,
    email {text} NOT NULL UNIQUE, roles {text} NOT NULL, active {int} NOT NULL, created {int} NOT NULL
){clustered};
CREATE INDEX person_organisation ON person (organisation);
CREATE TABLE trust_group (
    id {text} PRIMARY KEY, name {text} NOT NULL UNIQUE, description {text} NOT NULL, created {int} NOT NULL
){clustered};
CREATE TABLE group_organisation (
    organisation {text} NOT NULL REFERENCES organisation(id), trust_group {text} NOT NULL REFERENCES trust_group(id),
    PRIMARY KEY (organisation, trust_group)
){clustered};
CREATE TABLE group_person (
    person {text} NOT NULL REFERENCES person(id), trust_group {text} NOT NULL REFERENCES trust_group(id),
    PRIMARY KEY (person, trust_group)
){clustered};

CREATE TABLE password (person {text} PRIMARY KEY REFERENCES person(id), phc {text} NOT NULL, changed {int} NOT NULL){clustered};
CREATE TABLE passkey (
    id {blob} PRIMARY KEY, person {text} NOT NULL REFERENCES person(id), public_key {blob} NOT NULL, sign_count {int} NOT NULL,
    name {text} NOT NULL, created {int} NOT NULL, last_used {int}
){clustered};
CREATE INDEX passkey_person ON passkey (person);
CREATE TABLE oidc (
    issuer {text} NOT NULL, subject {text} NOT NULL, person {text} NOT NULL REFERENCES person(id), created {int} NOT NULL,
    PRIMARY KEY (issuer, subject)
){clustered};
CREATE INDEX oidc_person ON oidc (person);
CREATE TABLE token (
    id {text} PRIMARY KEY, hash {blob} NOT NULL UNIQUE, organisation {text} NOT NULL REFERENCES organisation(id),
    person {text} REFERENCES person(id), name {text} NOT NULL, scopes {text} NOT NULL, collections {text},
    created {int} NOT NULL, expires {int} NOT NULL, last_used {int}, revoked {int}
){clustered};
CREATE INDEX token_organisation ON token (organisation);
CREATE TABLE session (
    hash {blob} PRIMARY KEY, person {text} NOT NULL REFERENCES person(id), created {int} NOT NULL, expires {int} NOT NULL,
    csrf {blob} NOT NULL
){clustered};
CREATE INDEX session_person ON session (person);
CREATE INDEX session_expires ON session (expires);
CREATE TABLE link (
    hash {blob} PRIMARY KEY, purpose {text} NOT NULL, person {text} REFERENCES person(id), data {text} NOT NULL,
    created {int} NOT NULL, expires {int} NOT NULL, used {int}
){clustered};
CREATE INDEX link_expires ON link (expires);

-- Whoever needed it first is its bringer: nobody needs more than a share.
CREATE TABLE policy (key {key}, json {text} NOT NULL, digest {blob} NOT NULL UNIQUE, bringer {text});

CREATE TABLE collection (
    key {key}, id {text} NOT NULL UNIQUE, alias {text} UNIQUE, title {text} NOT NULL, description {text} NOT NULL,
    may_read {text}, may_write {text}, handling {text}, media_types {text} NOT NULL, created {int} NOT NULL,
    largest {int} NOT NULL
);

CREATE TABLE batch (added {int} PRIMARY KEY, first_seq {int} NOT NULL){clustered};
-- The body comes late, so that what stands before it is read without it.
CREATE TABLE object (
    seq {key}, collection {int} NOT NULL, version {int} NOT NULL, added {int} NOT NULL, newest {int} NOT NULL, oldest {int} NOT NULL,
    line {int} NOT NULL, policy {int} NOT NULL, own {int} NOT NULL, given {int} NOT NULL, kind {text} NOT NULL, spec_version {text} NOT NULL, id {text} NOT NULL,
    owner {text} NOT NULL, person {text}, peer {text}, digest {blob} NOT NULL, leaf {int}, salt {blob}, title {text} NOT NULL,
    aside {text}, body {text} NOT NULL, words {text} NOT NULL
);
-- Not unique: who cannot see what is there puts something beside it.
CREATE INDEX object_id ON object (id, collection, version);
CREATE INDEX object_page ON object (collection, seq, newest, oldest, policy);
CREATE INDEX object_kind ON object (kind, seq, newest, policy, collection);
CREATE INDEX object_policy ON object (policy, added);
CREATE TABLE reference (
    target {text} NOT NULL, source {int} NOT NULL REFERENCES object(seq) ON DELETE CASCADE, owner {text} NOT NULL,
    PRIMARY KEY (target, source)
){clustered};
CREATE INDEX reference_source ON reference (source);
CREATE INDEX reference_owner ON reference (target, owner, source);
CREATE TABLE word (word {text} NOT NULL, seq {int} NOT NULL, PRIMARY KEY (word, seq)){clustered};
CREATE TABLE tally (kind {text} NOT NULL, policies {text} NOT NULL, number {int} NOT NULL, PRIMARY KEY (kind, policies)){clustered};
CREATE TABLE tombstone (
    seq {key}, id {text} NOT NULL, version {int} NOT NULL, collection {int} NOT NULL, removed {int} NOT NULL,
    policy {int} NOT NULL, own {int} NOT NULL, line {int} NOT NULL, owner {text} NOT NULL, person {text}, why {text}
);
CREATE INDEX tombstone_id ON tombstone (id, collection, version);
CREATE INDEX tombstone_removed ON tombstone (removed, id, version);

CREATE TABLE case_file (
    id {text} PRIMARY KEY, policy {int} NOT NULL, opened {int} NOT NULL, changed {int} NOT NULL, summary {text} NOT NULL
){clustered};
CREATE INDEX case_changed ON case_file (changed);
CREATE TABLE case_event (
    case_id {text} NOT NULL REFERENCES case_file(id), number {int} NOT NULL, happened {int} NOT NULL, organisation {text}, person {text},
    body {text} NOT NULL, PRIMARY KEY (case_id, number)
){clustered};
CREATE TABLE case_message (
    case_id {text} NOT NULL REFERENCES case_file(id), number {int} NOT NULL, sent {int} NOT NULL, organisation {text}, person {text},
    policy {int} NOT NULL, body {text} NOT NULL, PRIMARY KEY (case_id, number)
){clustered};
CREATE TABLE due (
    subject {text} NOT NULL, name {text} NOT NULL, due {int} NOT NULL, party {text}, policy {int} NOT NULL, detail {text} NOT NULL,
    PRIMARY KEY (subject, name)
){clustered};
CREATE INDEX due_due ON due (due);

CREATE TABLE peer (
    id {text} PRIMARY KEY, url {text} NOT NULL UNIQUE, name {text} NOT NULL, public_key {text} NOT NULL, organisation {text} REFERENCES organisation(id),
    limits {text}, cursor {text}, checkpoint {text}, state {text} NOT NULL, tried {int}, succeeded {int}, problem {text}, created {int} NOT NULL
){clustered};
CREATE TABLE saved_view (
    person {text} NOT NULL REFERENCES person(id), name {text} NOT NULL, query {text} NOT NULL, created {int} NOT NULL, PRIMARY KEY (person, name)
){clustered};
CREATE TABLE notification (
    person {text} NOT NULL REFERENCES person(id), number {int} NOT NULL, kind {text} NOT NULL, case_id {text}, object {text},
    text {text} NOT NULL, made {int} NOT NULL, seen {int}, PRIMARY KEY (person, number)
){clustered};
CREATE TABLE taxii_status (
    id {text} PRIMARY KEY, owner {text} NOT NULL, requested {int} NOT NULL, body {text} NOT NULL
){clustered};
CREATE INDEX taxii_status_requested ON taxii_status (requested);
