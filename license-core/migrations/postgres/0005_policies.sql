-- How the leases of a license behave, under a name that many licenses share. What is NULL follows the settings.
CREATE TABLE policy (
    tenant_id         TEXT    COLLATE "C" NOT NULL REFERENCES tenant (id),
    name              TEXT    COLLATE "C" NOT NULL,
    ttl_secs          BIGINT,
    age_max_secs      BIGINT,
    offline_max_secs  BIGINT,
    overdraft_percent BIGINT  NOT NULL,
    take_over         TEXT    NOT NULL CHECK (take_over IN ('never', 'own', 'any')),
    expiry            TEXT    NOT NULL CHECK (expiry IN ('restrict', 'maintain', 'allow')),
    queue             BIGINT  NOT NULL,
    PRIMARY KEY (tenant_id, name)
);
ALTER TABLE license ADD COLUMN policy TEXT COLLATE "C";
ALTER TABLE license ADD FOREIGN KEY (tenant_id, policy) REFERENCES policy (tenant_id, name);
-- More seats for a time: they end by themselves.
ALTER TABLE license ADD COLUMN burst_seats BIGINT NOT NULL DEFAULT 0;
ALTER TABLE license ADD COLUMN burst_until BIGINT NOT NULL DEFAULT 0;

-- Who waits for a seat. A place is kept by asking again.
CREATE TABLE waiting (
    tenant_id  TEXT   COLLATE "C" NOT NULL,
    license_id TEXT   COLLATE "C" NOT NULL,
    holder     TEXT   COLLATE "C" NOT NULL,
    since      BIGINT NOT NULL,
    asked_at   BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, license_id, holder),
    FOREIGN KEY (tenant_id, license_id) REFERENCES license (tenant_id, id)
);

DO $$
DECLARE
    name TEXT;
BEGIN
    FOREACH name IN ARRAY ARRAY['policy', 'waiting'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY own_tenant ON %I TO license_core_app USING (tenant_id = current_setting(''app.tenant_id'', true))', name);
        EXECUTE format('CREATE POLICY owner_all ON %I TO CURRENT_USER USING (true)', name);
    END LOOP;
END
$$;
GRANT SELECT, INSERT, UPDATE, DELETE ON policy, waiting TO license_core_app;

CREATE FUNCTION audit_policy() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_event (tenant_id, at, kind, actor, detail)
    VALUES (coalesce(NEW.tenant_id, OLD.tenant_id), now_ms(),
            CASE TG_OP WHEN 'INSERT' THEN 'policy.created' WHEN 'UPDATE' THEN 'policy.changed' ELSE 'policy.deleted' END,
            actor(), json_build_object('name', coalesce(NEW.name, OLD.name), 'overdraft', NEW.overdraft_percent)::text);
    RETURN NULL;
END
$$;
CREATE TRIGGER audit_changed AFTER INSERT OR UPDATE OR DELETE ON policy FOR EACH ROW EXECUTE FUNCTION audit_policy();
CREATE FUNCTION audit_burst() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_event (tenant_id, at, kind, actor, license_id, detail)
    VALUES (NEW.tenant_id, now_ms(), 'license.burst', actor(), NEW.id,
            json_build_object('seats', NEW.burst_seats, 'until', NEW.burst_until)::text);
    RETURN NULL;
END
$$;
CREATE TRIGGER audit_burst AFTER UPDATE OF burst_seats, burst_until ON license FOR EACH ROW EXECUTE FUNCTION audit_burst();
