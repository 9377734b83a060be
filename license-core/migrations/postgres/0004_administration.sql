-- Administration by people who are named: who acts is set per transaction as `app.actor`.
-- Counts the changes by administrators, so that one does not undo another's unseen.
ALTER TABLE license ADD COLUMN revision BIGINT NOT NULL DEFAULT 1;
-- A session that was taken offline: its seat is leased until then, whatever its heartbeats.
ALTER TABLE session ADD COLUMN borrowed_until BIGINT;
-- Reports look back over a license's sessions.
CREATE INDEX session_history ON session (tenant_id, license_id, started_at);

CREATE TABLE product (
    tenant_id   TEXT   COLLATE "C" NOT NULL REFERENCES tenant (id),
    name        TEXT   COLLATE "C" NOT NULL,
    description TEXT   NOT NULL,
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, name)
);

CREATE TABLE entitlement (
    tenant_id  TEXT COLLATE "C" NOT NULL,
    license_id TEXT COLLATE "C" NOT NULL,
    name       TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, license_id, name),
    FOREIGN KEY (tenant_id, license_id) REFERENCES license (tenant_id, id)
);

-- How often seats were denied: one row per license, hour and reason.
CREATE TABLE denial (
    tenant_id  TEXT   COLLATE "C" NOT NULL,
    license_id TEXT   COLLATE "C" NOT NULL,
    hour       BIGINT NOT NULL,
    code       TEXT   COLLATE "C" NOT NULL,
    times      BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, license_id, hour, code),
    FOREIGN KEY (tenant_id, license_id) REFERENCES license (tenant_id, id)
);

-- Answers that a repeated request gets again. Without a status the first request is still in hand.
CREATE TABLE idempotency (
    tenant_id  TEXT   COLLATE "C" NOT NULL REFERENCES tenant (id),
    subject    TEXT   COLLATE "C" NOT NULL,
    key        TEXT   COLLATE "C" NOT NULL,
    request    BYTEA  NOT NULL,
    status     BIGINT,
    body       BYTEA,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, subject, key)
);
CREATE INDEX idempotency_age ON idempotency (created_at);

DO $$
DECLARE
    name TEXT;
BEGIN
    FOREACH name IN ARRAY ARRAY['product', 'entitlement', 'denial', 'idempotency'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY own_tenant ON %I TO license_core_app USING (tenant_id = current_setting(''app.tenant_id'', true))', name);
        EXECUTE format('CREATE POLICY owner_all ON %I TO CURRENT_USER USING (true)', name);
    END LOOP;
END
$$;
GRANT SELECT, INSERT, UPDATE, DELETE ON product, entitlement TO license_core_app;
GRANT SELECT, INSERT, UPDATE ON denial, idempotency TO license_core_app;

CREATE FUNCTION actor() RETURNS TEXT LANGUAGE sql STABLE
    AS $$ SELECT coalesce(nullif(current_setting('app.actor', true), ''), 'operator') $$;

-- Forgets answers that were kept long enough.
CREATE FUNCTION forget_answers(age_ms BIGINT) RETURNS BIGINT
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    forgotten BIGINT;
BEGIN
    DELETE FROM idempotency WHERE created_at < now_ms() - age_ms;
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    RETURN forgotten;
END
$$;
REVOKE ALL ON FUNCTION forget_answers(BIGINT) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION forget_answers(BIGINT) TO license_core_app;

CREATE OR REPLACE FUNCTION audit_tenant() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_event (tenant_id, at, kind, actor, detail)
    VALUES (NEW.id, now_ms(), CASE TG_OP WHEN 'INSERT' THEN 'tenant.created' ELSE 'tenant.' || NEW.standing END,
            actor(), '{}');
    RETURN NULL;
END
$$;
CREATE OR REPLACE FUNCTION audit_subject() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_event (tenant_id, at, kind, actor, detail)
    VALUES (NEW.tenant_id, now_ms(), 'subject.' || NEW.standing, actor(), json_build_object('subject', NEW.id)::text);
    RETURN NULL;
END
$$;
CREATE OR REPLACE FUNCTION audit_license() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_event (tenant_id, at, kind, actor, license_id, detail)
    VALUES (NEW.tenant_id, now_ms(), CASE TG_OP WHEN 'INSERT' THEN 'license.created' ELSE 'license.changed' END,
            actor(), NEW.id,
            json_build_object('name', NEW.name, 'seats', NEW.seats, 'leasing', NEW.leasing, 'standing', NEW.standing,
                              'product', NEW.product, 'expires_at', NEW.expires_at)::text);
    RETURN NULL;
END
$$;
DROP TRIGGER audit_set ON license;
CREATE TRIGGER audit_set AFTER UPDATE OF standing, seats, revision ON license FOR EACH ROW
    WHEN (OLD.standing <> NEW.standing OR OLD.seats <> NEW.seats OR OLD.revision <> NEW.revision)
    EXECUTE FUNCTION audit_license();

CREATE OR REPLACE FUNCTION audit_seat() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO audit_event (tenant_id, at, kind, actor, license_id, session_id, detail)
        VALUES (NEW.tenant_id, NEW.started_at, 'seat.acquired', NEW.subject, NEW.license_id, NEW.id,
                json_build_object('hardware', NEW.hardware, 'epoch', NEW.epoch)::text);
    ELSE
        INSERT INTO audit_event (tenant_id, at, kind, actor, license_id, session_id, detail)
        VALUES (NEW.tenant_id, NEW.ended_at, 'seat.' || NEW.ending,
                CASE NEW.ending WHEN 'released' THEN NEW.subject WHEN 'revoked' THEN actor() ELSE 'service' END,
                NEW.license_id, NEW.id, json_build_object('epoch', NEW.epoch)::text);
    END IF;
    RETURN NULL;
END
$$;
CREATE FUNCTION audit_borrow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_event (tenant_id, at, kind, actor, license_id, session_id, detail)
    VALUES (NEW.tenant_id, now_ms(), 'seat.borrowed', NEW.subject, NEW.license_id, NEW.id,
            json_build_object('epoch', NEW.epoch, 'until', NEW.borrowed_until)::text);
    RETURN NULL;
END
$$;
CREATE TRIGGER audit_borrowed AFTER UPDATE OF borrowed_until ON session FOR EACH ROW
    WHEN (NEW.borrowed_until IS NOT NULL) EXECUTE FUNCTION audit_borrow();

-- On a deletion NEW is null, on an insertion OLD is.
CREATE FUNCTION audit_product() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_event (tenant_id, at, kind, actor, detail)
    VALUES (coalesce(NEW.tenant_id, OLD.tenant_id), now_ms(),
            CASE TG_OP WHEN 'INSERT' THEN 'product.created' ELSE 'product.deleted' END, actor(),
            json_build_object('name', coalesce(NEW.name, OLD.name))::text);
    RETURN NULL;
END
$$;
CREATE TRIGGER audit_changed AFTER INSERT OR DELETE ON product FOR EACH ROW EXECUTE FUNCTION audit_product();
CREATE FUNCTION audit_entitlement() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_event (tenant_id, at, kind, actor, license_id, detail)
    VALUES (coalesce(NEW.tenant_id, OLD.tenant_id), now_ms(),
            CASE TG_OP WHEN 'INSERT' THEN 'entitlement.given' ELSE 'entitlement.taken' END, actor(),
            coalesce(NEW.license_id, OLD.license_id), json_build_object('name', coalesce(NEW.name, OLD.name))::text);
    RETURN NULL;
END
$$;
CREATE TRIGGER audit_changed AFTER INSERT OR DELETE ON entitlement FOR EACH ROW EXECUTE FUNCTION audit_entitlement();
