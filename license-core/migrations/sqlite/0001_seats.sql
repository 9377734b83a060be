-- Tenants, licenses and the sessions that hold their seats. Times are milliseconds since the Unix epoch.
-- Every key begins with the tenant, so that a reference across tenants cannot be written.
CREATE TABLE tenant (
    id         TEXT    NOT NULL PRIMARY KEY,
    standing   TEXT    NOT NULL DEFAULT 'active' CHECK (standing IN ('active', 'suspended')),
    created_at INTEGER NOT NULL
) STRICT;

-- Only subjects that an operator acted on have a row: the identity provider knows the rest.
CREATE TABLE subject (
    tenant_id  TEXT    NOT NULL REFERENCES tenant (id),
    id         TEXT    NOT NULL,
    standing   TEXT    NOT NULL CHECK (standing IN ('active', 'suspended')),
    PRIMARY KEY (tenant_id, id)
) STRICT;

CREATE TABLE license (
    tenant_id  TEXT    NOT NULL REFERENCES tenant (id),
    id         TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    product    TEXT    NOT NULL,
    key_hash   BLOB    NOT NULL UNIQUE CHECK (length(key_hash) = 32),
    seats      INTEGER NOT NULL CHECK (seats >= 0),
    leasing    TEXT    NOT NULL CHECK (leasing IN ('per_machine', 'per_user')),
    standing   TEXT    NOT NULL DEFAULT 'active' CHECK (standing IN ('active', 'suspended', 'revoked')),
    expires_at INTEGER,
    -- Fencing epoch of the last lease granted.
    epoch      INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, name)
) STRICT;

CREATE TABLE session (
    tenant_id         TEXT    NOT NULL,
    id                TEXT    NOT NULL,
    license_id        TEXT    NOT NULL,
    subject           TEXT    NOT NULL,
    hardware          TEXT    NOT NULL,
    -- Sessions with one holder share one seat.
    holder            TEXT    NOT NULL,
    user_email        TEXT,
    metadata          TEXT    NOT NULL,
    epoch             INTEGER NOT NULL,
    started_at        INTEGER NOT NULL,
    last_heartbeat_at INTEGER NOT NULL,
    expires_at        INTEGER NOT NULL,
    ended_at          INTEGER,
    ending            TEXT CHECK (ending IN ('expired', 'released', 'revoked')),
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, license_id) REFERENCES license (tenant_id, id),
    CHECK ((ended_at IS NULL) = (ending IS NULL))
) STRICT;

-- One live session per license, machine and user.
CREATE UNIQUE INDEX session_live ON session (tenant_id, license_id, hardware, subject) WHERE ended_at IS NULL;
-- The count of seats reads this index alone.
CREATE INDEX session_seats ON session (tenant_id, license_id, expires_at, holder) WHERE ended_at IS NULL;
-- The sweeper's way in.
CREATE INDEX session_expiry ON session (expires_at) WHERE ended_at IS NULL;

-- What the service remembers of itself: `alive_at` is the last moment at which it surely ran.
CREATE TABLE memory (
    name  TEXT    NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT;
INSERT INTO memory (name, value) VALUES ('alive_at', 0);
