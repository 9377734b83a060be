-- The heads of the audit chains, signed every hour in which something happened. A chain must pass through all of them.
CREATE TABLE checkpoint (
    tenant_id TEXT   COLLATE "C" NOT NULL REFERENCES tenant (id),
    position  BIGINT NOT NULL,
    hash      BYTEA  NOT NULL,
    at        BIGINT NOT NULL,
    signed    TEXT   NOT NULL,
    PRIMARY KEY (tenant_id, position)
);
ALTER TABLE checkpoint ENABLE ROW LEVEL SECURITY;
ALTER TABLE checkpoint FORCE  ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON checkpoint TO license_core_app
    USING (tenant_id = current_setting('app.tenant_id', true));
CREATE POLICY owner_all ON checkpoint TO CURRENT_USER USING (true);
GRANT SELECT, INSERT ON checkpoint TO license_core_app;
CREATE TRIGGER checkpoint_keeps BEFORE UPDATE OR DELETE ON checkpoint FOR EACH ROW EXECUTE FUNCTION audit_keeps();
CREATE TRIGGER checkpoint_remains BEFORE TRUNCATE ON checkpoint EXECUTE FUNCTION audit_keeps();

-- The tenants whose last checkpoint is older than `age_ms` and whose chain went on since.
CREATE FUNCTION checkpoint_due(age_ms BIGINT) RETURNS SETOF TEXT LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path FROM CURRENT AS $$
    SELECT t.id FROM tenant t
    LEFT JOIN LATERAL (SELECT max(c.position) AS position, max(c.at) AS at FROM checkpoint c WHERE c.tenant_id = t.id) c ON true
    WHERE coalesce(c.at, 0) <= now_ms() - age_ms
      AND EXISTS (SELECT FROM audit_event e WHERE e.tenant_id = t.id AND e.position > coalesce(c.position, 0))
    ORDER BY t.id LIMIT 1000
$$;
REVOKE ALL ON FUNCTION checkpoint_due(BIGINT) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION checkpoint_due(BIGINT) TO license_core_app;
