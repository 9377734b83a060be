-- Tenants, licenses and the sessions that hold their seats. Times are milliseconds since the Unix epoch, and they are
-- the database's. Every key begins with the tenant, so that a reference across tenants cannot be written, and every
-- table shows a role only the rows of the tenant that its transaction set; with none set it shows nothing.
--
-- This runs as the schema's owner. The service logs in as a member of `license_core_app`, which owns nothing.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'license_core_app') THEN
        CREATE ROLE license_core_app NOLOGIN NOSUPERUSER NOBYPASSRLS;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL; -- another database of this cluster was migrated at the same moment
END
$$;

CREATE TABLE tenant (
    id         TEXT   COLLATE "C" NOT NULL PRIMARY KEY CHECK (id <> ''),
    standing   TEXT   NOT NULL DEFAULT 'active' CHECK (standing IN ('active', 'suspended')),
    created_at BIGINT NOT NULL
);

-- Only subjects that an operator acted on have a row: the identity provider knows the rest.
CREATE TABLE subject (
    tenant_id  TEXT   COLLATE "C" NOT NULL REFERENCES tenant (id),
    id         TEXT   COLLATE "C" NOT NULL,
    standing   TEXT   NOT NULL CHECK (standing IN ('active', 'suspended')),
    PRIMARY KEY (tenant_id, id)
);

CREATE TABLE license (
    tenant_id  TEXT   COLLATE "C" NOT NULL REFERENCES tenant (id),
    id         TEXT   COLLATE "C" NOT NULL,
    name       TEXT   COLLATE "C" NOT NULL,
    product    TEXT   NOT NULL,
    key_hash   BYTEA  NOT NULL UNIQUE CHECK (length(key_hash) = 32),
    seats      BIGINT NOT NULL CHECK (seats BETWEEN 0 AND 4294967295),
    leasing    TEXT   NOT NULL CHECK (leasing IN ('per_machine', 'per_user')),
    standing   TEXT   NOT NULL DEFAULT 'active' CHECK (standing IN ('active', 'suspended', 'revoked')),
    expires_at BIGINT,
    -- Fencing epoch of the last lease granted.
    epoch      BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, name)
) WITH (fillfactor = 80);

CREATE TABLE session (
    tenant_id         TEXT   COLLATE "C" NOT NULL,
    id                TEXT   COLLATE "C" NOT NULL,
    license_id        TEXT   COLLATE "C" NOT NULL,
    subject           TEXT   COLLATE "C" NOT NULL,
    hardware          TEXT   COLLATE "C" NOT NULL,
    -- Sessions with one holder share one seat.
    holder            TEXT   COLLATE "C" NOT NULL,
    user_email        TEXT,
    metadata          TEXT   NOT NULL,
    epoch             BIGINT NOT NULL,
    started_at        BIGINT NOT NULL,
    last_heartbeat_at BIGINT NOT NULL,
    expires_at        BIGINT NOT NULL,
    ended_at          BIGINT,
    ending            TEXT CHECK (ending IN ('expired', 'released', 'revoked')),
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, license_id) REFERENCES license (tenant_id, id),
    CHECK ((ended_at IS NULL) = (ending IS NULL))
) WITH (fillfactor = 80);

-- One live session per license, machine and user; the count of seats starts here too. No index holds a column that a
-- heartbeat changes, so that heartbeats stay within their page.
CREATE UNIQUE INDEX session_live ON session (tenant_id, license_id, hardware, subject) WHERE ended_at IS NULL;
-- The sweeper's way in: ids begin with the time, so the oldest live sessions stand first.
CREATE INDEX session_sweep ON session (id) WHERE ended_at IS NULL;

-- What the service remembers of itself: `alive_at` is a moment at which it surely ran.
CREATE TABLE memory (
    name  TEXT   NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO memory (name, value) VALUES ('alive_at', 0);

CREATE FUNCTION now_ms() RETURNS BIGINT LANGUAGE sql VOLATILE PARALLEL SAFE
    AS $$ SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint $$;

-- Isolation. The owner's own rows-for-all policy serves the functions below and migrations; nobody logs in as it.
ALTER TABLE tenant  ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant  FORCE  ROW LEVEL SECURITY;
ALTER TABLE subject ENABLE ROW LEVEL SECURITY;
ALTER TABLE subject FORCE  ROW LEVEL SECURITY;
ALTER TABLE license ENABLE ROW LEVEL SECURITY;
ALTER TABLE license FORCE  ROW LEVEL SECURITY;
ALTER TABLE session ENABLE ROW LEVEL SECURITY;
ALTER TABLE session FORCE  ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON tenant  TO license_core_app USING (id = current_setting('app.tenant_id', true));
CREATE POLICY own_tenant ON subject TO license_core_app USING (tenant_id = current_setting('app.tenant_id', true));
CREATE POLICY own_tenant ON license TO license_core_app USING (tenant_id = current_setting('app.tenant_id', true));
CREATE POLICY own_tenant ON session TO license_core_app USING (tenant_id = current_setting('app.tenant_id', true));
CREATE POLICY owner_all ON tenant  TO CURRENT_USER USING (true);
CREATE POLICY owner_all ON subject TO CURRENT_USER USING (true);
CREATE POLICY owner_all ON license TO CURRENT_USER USING (true);
CREATE POLICY owner_all ON session TO CURRENT_USER USING (true);

-- Records that the service runs. When nothing ran for longer than `away_ms`, the leases that ran out meanwhile, which
-- no heartbeat could keep, get one term more. No seat is given twice by this: whoever was told of an expiry was told
-- after it was written down, and a grant writes down every expiry of its license first.
CREATE FUNCTION stay_alive(away_ms BIGINT, ttl_ms BIGINT, age_max_ms BIGINT) RETURNS BIGINT
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    alive_at BIGINT;
    now      BIGINT;
    extended BIGINT := 0;
BEGIN
    SELECT value INTO alive_at FROM memory WHERE name = 'alive_at' FOR UPDATE;
    now := now_ms();
    IF now - alive_at > away_ms THEN
        UPDATE session SET expires_at = now + ttl_ms
            WHERE ended_at IS NULL AND expires_at > alive_at AND expires_at <= now AND started_at + age_max_ms > now;
        GET DIAGNOSTICS extended = ROW_COUNT;
    END IF;
    UPDATE memory SET value = greatest(value, now) WHERE name = 'alive_at';
    RETURN extended;
END
$$;

-- Ends sessions whose leases ran out. Who is being renewed at this moment is passed over.
CREATE FUNCTION sweep(most BIGINT) RETURNS BIGINT
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    swept BIGINT;
BEGIN
    UPDATE session s SET ended_at = s.expires_at, ending = 'expired'
        FROM (SELECT tenant_id, id FROM session WHERE ended_at IS NULL AND expires_at <= now_ms()
              ORDER BY id LIMIT most FOR UPDATE SKIP LOCKED) due
        WHERE s.tenant_id = due.tenant_id AND s.id = due.id;
    GET DIAGNOSTICS swept = ROW_COUNT;
    RETURN swept;
END
$$;

REVOKE ALL ON FUNCTION stay_alive(BIGINT, BIGINT, BIGINT) FROM PUBLIC;
REVOKE ALL ON FUNCTION sweep(BIGINT) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION stay_alive(BIGINT, BIGINT, BIGINT) TO license_core_app;
GRANT EXECUTE ON FUNCTION sweep(BIGINT) TO license_core_app;
GRANT SELECT, INSERT, UPDATE ON tenant, subject, license, session TO license_core_app;
GRANT SELECT ON memory TO license_core_app;
GRANT SELECT ON _sqlx_migrations TO license_core_app;
