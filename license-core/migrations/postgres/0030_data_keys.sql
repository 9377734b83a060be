-- The keys that personal columns are sealed under, each sealed itself under a key that is not in the database.
CREATE TABLE data_key (
    generation BIGINT NOT NULL PRIMARY KEY,
    sealed     TEXT   NOT NULL,
    created_at BIGINT NOT NULL
);
GRANT SELECT, INSERT, DELETE ON data_key TO license_core_app;
GRANT UPDATE (sealed) ON data_key TO license_core_app;

-- The tenants by id, for what is done in each of them in turn.
CREATE FUNCTION tenants_after(last_id TEXT) RETURNS SETOF TEXT LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path FROM CURRENT AS $$
    SELECT t.id FROM tenant t WHERE t.id > last_id ORDER BY t.id LIMIT 1000
$$;
REVOKE ALL ON FUNCTION tenants_after(TEXT) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenants_after(TEXT) TO license_core_app;
