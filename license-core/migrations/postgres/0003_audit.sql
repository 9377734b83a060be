-- The audit trail: what happened to tenants, users, licenses and seats (heartbeats aside), written by the database
-- itself in the transaction of the change. The service links each tenant's events into a chain within seconds:
-- `position` counts from 1 without a gap, `hash` covers the event and the hash before it. A linked event stays as it is.
CREATE TABLE audit_event (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id  TEXT   COLLATE "C" NOT NULL,
    at         BIGINT NOT NULL,
    kind       TEXT   NOT NULL,
    actor      TEXT   NOT NULL,
    license_id TEXT,
    session_id TEXT,
    detail     TEXT   NOT NULL,
    position   BIGINT,
    hash       BYTEA,
    CHECK ((position IS NULL) = (hash IS NULL))
);
CREATE UNIQUE INDEX audit_chain ON audit_event (tenant_id, position);
CREATE INDEX audit_unlinked ON audit_event (id) WHERE position IS NULL;

ALTER TABLE audit_event ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_event FORCE  ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON audit_event TO license_core_app
    USING (tenant_id = current_setting('app.tenant_id', true));
CREATE POLICY owner_all ON audit_event TO CURRENT_USER USING (true);
GRANT SELECT, INSERT ON audit_event TO license_core_app;
GRANT UPDATE (position, hash) ON audit_event TO license_core_app;

CREATE FUNCTION audit_keeps() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a linked audit event stays as it is';
END
$$;
CREATE TRIGGER audit_keeps BEFORE UPDATE ON audit_event FOR EACH ROW WHEN (OLD.hash IS NOT NULL)
    EXECUTE FUNCTION audit_keeps();
CREATE TRIGGER audit_stays BEFORE DELETE ON audit_event FOR EACH ROW EXECUTE FUNCTION audit_keeps();
CREATE TRIGGER audit_remains BEFORE TRUNCATE ON audit_event EXECUTE FUNCTION audit_keeps();

CREATE FUNCTION audit_tenant() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_event (tenant_id, at, kind, actor, detail)
    VALUES (NEW.id, now_ms(), CASE TG_OP WHEN 'INSERT' THEN 'tenant.created' ELSE 'tenant.' || NEW.standing END,
            'operator', '{}');
    RETURN NULL;
END
$$;
CREATE TRIGGER audit_made AFTER INSERT ON tenant FOR EACH ROW EXECUTE FUNCTION audit_tenant();
CREATE TRIGGER audit_set AFTER UPDATE OF standing ON tenant FOR EACH ROW WHEN (OLD.standing <> NEW.standing)
    EXECUTE FUNCTION audit_tenant();

CREATE FUNCTION audit_subject() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_event (tenant_id, at, kind, actor, detail)
    VALUES (NEW.tenant_id, now_ms(), 'subject.' || NEW.standing, 'operator', json_build_object('subject', NEW.id)::text);
    RETURN NULL;
END
$$;
CREATE TRIGGER audit_made AFTER INSERT ON subject FOR EACH ROW EXECUTE FUNCTION audit_subject();
CREATE TRIGGER audit_set AFTER UPDATE OF standing ON subject FOR EACH ROW WHEN (OLD.standing <> NEW.standing)
    EXECUTE FUNCTION audit_subject();

CREATE FUNCTION audit_license() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_event (tenant_id, at, kind, actor, license_id, detail)
    VALUES (NEW.tenant_id, now_ms(), CASE TG_OP WHEN 'INSERT' THEN 'license.created' ELSE 'license.changed' END,
            'operator', NEW.id,
            json_build_object('name', NEW.name, 'seats', NEW.seats, 'leasing', NEW.leasing, 'standing', NEW.standing)::text);
    RETURN NULL;
END
$$;
CREATE TRIGGER audit_made AFTER INSERT ON license FOR EACH ROW EXECUTE FUNCTION audit_license();
CREATE TRIGGER audit_set AFTER UPDATE OF standing, seats ON license FOR EACH ROW
    WHEN (OLD.standing <> NEW.standing OR OLD.seats <> NEW.seats) EXECUTE FUNCTION audit_license();

CREATE FUNCTION audit_seat() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO audit_event (tenant_id, at, kind, actor, license_id, session_id, detail)
        VALUES (NEW.tenant_id, NEW.started_at, 'seat.acquired', NEW.subject, NEW.license_id, NEW.id,
                json_build_object('hardware', NEW.hardware, 'epoch', NEW.epoch)::text);
    ELSE
        INSERT INTO audit_event (tenant_id, at, kind, actor, license_id, session_id, detail)
        VALUES (NEW.tenant_id, NEW.ended_at, 'seat.' || NEW.ending,
                CASE NEW.ending WHEN 'released' THEN NEW.subject WHEN 'revoked' THEN 'operator' ELSE 'service' END,
                NEW.license_id, NEW.id, json_build_object('epoch', NEW.epoch)::text);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER audit_acquired AFTER INSERT ON session FOR EACH ROW EXECUTE FUNCTION audit_seat();
CREATE TRIGGER audit_ended AFTER UPDATE OF ending ON session FOR EACH ROW
    WHEN (OLD.ending IS NULL AND NEW.ending IS NOT NULL) EXECUTE FUNCTION audit_seat();

-- The tenants with events that are not linked yet.
CREATE FUNCTION unlinked_tenants() RETURNS SETOF TEXT LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT
    AS $$ SELECT DISTINCT tenant_id FROM (SELECT tenant_id FROM audit_event WHERE position IS NULL ORDER BY id LIMIT 10000) due $$;
REVOKE ALL ON FUNCTION unlinked_tenants() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION unlinked_tenants() TO license_core_app;
