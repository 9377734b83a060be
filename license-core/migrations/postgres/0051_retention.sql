-- Retention. Where a tenant's chain begins: what stands before the head of a signed checkpoint goes, bit by bit, once the
-- checkpoint is old enough. The event at that position stays, so that a program before this one links on from it.
CREATE TABLE audit_beginning (
    tenant_id TEXT   COLLATE "C" NOT NULL PRIMARY KEY REFERENCES tenant (id),
    position  BIGINT NOT NULL,
    hash      BYTEA  NOT NULL,
    -- When the checkpoint was signed.
    at        BIGINT NOT NULL
);
ALTER TABLE audit_beginning ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_beginning FORCE  ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON audit_beginning TO license_core_app
    USING (tenant_id = current_setting('app.tenant_id', true));
CREATE POLICY owner_all ON audit_beginning TO CURRENT_USER USING (true);
GRANT SELECT ON audit_beginning TO license_core_app;

-- Nothing of the trail is deleted but what stands before its beginning.
CREATE FUNCTION audit_goes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.position < (SELECT b.position FROM audit_beginning b WHERE b.tenant_id = OLD.tenant_id) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'the audit trail is not deleted after its beginning';
END
$$;
DROP TRIGGER audit_stays ON audit_event;
CREATE TRIGGER audit_stays BEFORE DELETE ON audit_event FOR EACH ROW EXECUTE FUNCTION audit_goes();
DROP TRIGGER checkpoint_keeps ON checkpoint;
CREATE TRIGGER checkpoint_keeps BEFORE UPDATE ON checkpoint FOR EACH ROW EXECUTE FUNCTION audit_keeps();
CREATE TRIGGER checkpoint_stays BEFORE DELETE ON checkpoint FOR EACH ROW EXECUTE FUNCTION audit_goes();

-- The ways in of what is forgotten by age. No heartbeat changes these columns.
CREATE INDEX session_ended ON session (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX denial_hour ON denial (hour);

-- Moves the beginnings of chains, once a day at most and where more than such moves would go, and tells of it in the
-- chain itself. Deletes at most `most` events from before beginnings and returns how many.
CREATE FUNCTION forget_audit(age_ms BIGINT, most BIGINT) RETURNS BIGINT
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    forgotten BIGINT;
    before    BIGINT := now_ms() - age_ms;
BEGIN
    WITH moved AS (
        INSERT INTO audit_beginning AS b (tenant_id, position, hash, at)
        SELECT c.tenant_id, c.position, c.hash, c.at
        FROM checkpoint c LEFT JOIN audit_beginning o ON o.tenant_id = c.tenant_id
        WHERE c.at <= before
          AND c.position = (SELECT max(n.position) FROM checkpoint n WHERE n.tenant_id = c.tenant_id AND n.at <= before)
          AND c.position > coalesce(o.position, 0) AND c.at >= coalesce(o.at + 86400000, 0)
          AND EXISTS (SELECT FROM audit_event e WHERE e.tenant_id = c.tenant_id AND e.position > coalesce(o.position, 0)
                      AND e.position <= c.position AND e.kind <> 'audit.retained')
        ON CONFLICT (tenant_id) DO UPDATE SET position = excluded.position, hash = excluded.hash, at = excluded.at
            WHERE b.position < excluded.position
        RETURNING b.tenant_id, b.position, b.hash)
    INSERT INTO audit_event (tenant_id, at, kind, actor, detail)
        SELECT m.tenant_id, now_ms(), 'audit.retained', 'service',
               json_build_object('through', m.position || ':' || encode(m.hash, 'hex'))::text
        FROM moved m;
    DELETE FROM audit_event WHERE id IN (
        SELECT e.id FROM audit_beginning b JOIN audit_event e ON e.tenant_id = b.tenant_id AND e.position < b.position
        LIMIT most);
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    DELETE FROM checkpoint WHERE (tenant_id, position) IN (
        SELECT c.tenant_id, c.position FROM audit_beginning b
        JOIN checkpoint c ON c.tenant_id = b.tenant_id AND c.position < b.position LIMIT most);
    RETURN forgotten;
END
$$;
CREATE FUNCTION forget_sessions(age_ms BIGINT, most BIGINT) RETURNS BIGINT
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    forgotten BIGINT;
BEGIN
    DELETE FROM session WHERE (tenant_id, id) IN (
        SELECT s.tenant_id, s.id FROM session s WHERE s.ended_at IS NOT NULL AND s.ended_at < now_ms() - age_ms
        ORDER BY s.ended_at LIMIT most);
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    RETURN forgotten;
END
$$;
CREATE FUNCTION forget_denials(age_ms BIGINT, most BIGINT) RETURNS BIGINT
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    forgotten BIGINT;
BEGIN
    DELETE FROM denial WHERE (tenant_id, license_id, hour, code) IN (
        SELECT d.tenant_id, d.license_id, d.hour, d.code FROM denial d WHERE d.hour < now_ms() - age_ms
        ORDER BY d.hour LIMIT most);
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    RETURN forgotten;
END
$$;
CREATE FUNCTION forget_answers(age_ms BIGINT, most BIGINT) RETURNS BIGINT
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    forgotten BIGINT;
BEGIN
    DELETE FROM idempotency WHERE (tenant_id, subject, key) IN (
        SELECT i.tenant_id, i.subject, i.key FROM idempotency i WHERE i.created_at < now_ms() - age_ms
        ORDER BY i.created_at LIMIT most);
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    RETURN forgotten;
END
$$;
REVOKE ALL ON FUNCTION forget_audit(BIGINT, BIGINT), forget_sessions(BIGINT, BIGINT), forget_denials(BIGINT, BIGINT),
    forget_answers(BIGINT, BIGINT) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION forget_audit(BIGINT, BIGINT), forget_sessions(BIGINT, BIGINT), forget_denials(BIGINT, BIGINT),
    forget_answers(BIGINT, BIGINT) TO license_core_app;
