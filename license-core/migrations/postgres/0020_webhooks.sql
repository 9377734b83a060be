-- Webhooks: where a tenant wants to hear of its seats and licenses, and the outbox of what is to be told. Events are
-- written by the database itself, in the transaction of what they tell of, one row for each webhook that asked for them.
CREATE TABLE webhook (
    tenant_id     TEXT   COLLATE "C" NOT NULL REFERENCES tenant (id),
    id            TEXT   COLLATE "C" NOT NULL,
    url           TEXT   NOT NULL,
    -- `*`, or the names of events with a space around each.
    events        TEXT   NOT NULL,
    standing      TEXT   NOT NULL DEFAULT 'active' CHECK (standing IN ('active', 'disabled')),
    -- Why it is disabled.
    reason        TEXT,
    -- Sealed under the wrapping key. The former one signs too until its time is over.
    secret        BYTEA  NOT NULL,
    former_secret BYTEA,
    former_until  BIGINT NOT NULL DEFAULT 0,
    created_at    BIGINT NOT NULL,
    delivered_at  BIGINT,
    failed_at     BIGINT,
    failure       TEXT,
    PRIMARY KEY (tenant_id, id)
);
CREATE TABLE webhook_outbox (
    tenant_id  TEXT   COLLATE "C" NOT NULL,
    -- What receivers know a repeated delivery by. Random, so that a restored store does not use one twice.
    id         TEXT   COLLATE "C" NOT NULL,
    webhook_id TEXT   COLLATE "C" NOT NULL,
    event      TEXT   NOT NULL,
    at         BIGINT NOT NULL,
    data       TEXT   NOT NULL,
    attempts   BIGINT NOT NULL DEFAULT 0,
    due_at     BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, webhook_id) REFERENCES webhook (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX webhook_outbox_due ON webhook_outbox (due_at, tenant_id);
CREATE INDEX webhook_outbox_of ON webhook_outbox (tenant_id, webhook_id);
-- What was told of a license's term: once for each term.
CREATE TABLE license_notice (
    tenant_id  TEXT   COLLATE "C" NOT NULL,
    license_id TEXT   COLLATE "C" NOT NULL,
    kind       TEXT   COLLATE "C" NOT NULL CHECK (kind IN ('expiring', 'expired')),
    term       BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, license_id, kind, term),
    FOREIGN KEY (tenant_id, license_id) REFERENCES license (tenant_id, id)
);
CREATE INDEX license_term ON license (expires_at) WHERE expires_at IS NOT NULL;

DO $$
DECLARE
    name TEXT;
BEGIN
    FOREACH name IN ARRAY ARRAY['webhook', 'webhook_outbox', 'license_notice'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY own_tenant ON %I TO license_core_app USING (tenant_id = current_setting(''app.tenant_id'', true))', name);
        EXECUTE format('CREATE POLICY owner_all ON %I TO CURRENT_USER USING (true)', name);
    END LOOP;
END
$$;
GRANT SELECT, INSERT, UPDATE, DELETE ON webhook, webhook_outbox, license_notice TO license_core_app;

CREATE FUNCTION webhook_tell(tenant TEXT, told TEXT, told_at BIGINT, what TEXT) RETURNS void LANGUAGE sql AS $$
    INSERT INTO webhook_outbox (tenant_id, id, webhook_id, event, at, data, due_at)
    SELECT w.tenant_id, replace(gen_random_uuid()::text, '-', ''), w.id, told, told_at, what, now_ms()
    FROM webhook w WHERE w.tenant_id = tenant AND w.standing = 'active'
        AND (w.events = '*' OR w.events LIKE '% ' || told || ' %')
$$;
CREATE FUNCTION webhook_seat() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM webhook_tell(NEW.tenant_id,
        CASE NEW.kind WHEN 'seat.acquired' THEN 'license.seat.acquired' WHEN 'seat.expired' THEN 'license.seat.timeout'
                      ELSE 'license.seat.released' END,
        NEW.at,
        json_build_object('license_id', NEW.license_id, 'session_id', NEW.session_id,
                          'lease_epoch', NEW.detail::json -> 'epoch', 'how', substr(NEW.kind, 6))::text);
    RETURN NULL;
END
$$;
CREATE TRIGGER webhook_seat AFTER INSERT ON audit_event FOR EACH ROW
    WHEN (NEW.kind IN ('seat.acquired', 'seat.released', 'seat.expired', 'seat.revoked'))
    EXECUTE FUNCTION webhook_seat();
-- The first denial of an hour tells that a license is exhausted.
CREATE FUNCTION webhook_exhausted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM webhook_tell(NEW.tenant_id, 'license.seats.exhausted', now_ms(),
                         json_build_object('license_id', NEW.license_id)::text);
    RETURN NULL;
END
$$;
CREATE TRIGGER webhook_exhausted AFTER INSERT ON denial FOR EACH ROW WHEN (NEW.code = 'no_seats_available')
    EXECUTE FUNCTION webhook_exhausted();
CREATE FUNCTION webhook_term() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM webhook_tell(NEW.tenant_id, 'license.' || NEW.kind, now_ms(),
                         json_build_object('license_id', NEW.license_id, 'expires_at', NEW.term)::text);
    RETURN NULL;
END
$$;
CREATE TRIGGER webhook_term AFTER INSERT ON license_notice FOR EACH ROW EXECUTE FUNCTION webhook_term();

-- Tells of licenses whose term is over, or is within `soon_ms`.
CREATE FUNCTION announce_terms(soon_ms BIGINT, most BIGINT) RETURNS BIGINT
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    told BIGINT;
    at   BIGINT := now_ms();
BEGIN
    INSERT INTO license_notice (tenant_id, license_id, kind, term)
        SELECT l.tenant_id, l.id, k.kind, l.expires_at
        FROM license l, LATERAL (SELECT CASE WHEN l.expires_at <= at THEN 'expired' ELSE 'expiring' END AS kind) k
        WHERE l.expires_at <= at + soon_ms AND l.standing <> 'revoked'
          AND NOT EXISTS (SELECT FROM license_notice n WHERE n.tenant_id = l.tenant_id AND n.license_id = l.id
                          AND n.kind = k.kind AND n.term = l.expires_at)
        ORDER BY l.expires_at LIMIT most
        ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS told = ROW_COUNT;
    RETURN told;
END
$$;
-- The tenants with deliveries that are due.
CREATE FUNCTION delivery_tenants(most BIGINT) RETURNS SETOF TEXT LANGUAGE sql VOLATILE SECURITY DEFINER
    SET search_path FROM CURRENT
    AS $$ SELECT DISTINCT tenant_id FROM (SELECT tenant_id FROM webhook_outbox WHERE due_at <= now_ms() ORDER BY due_at LIMIT most) due $$;
-- Disables webhooks that more than `most` deliveries wait for, and drops those. Returns how many were dropped.
CREATE FUNCTION cap_outbox(most BIGINT) RETURNS BIGINT
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    dropped BIGINT := 0;
    full_of RECORD;
    rows_of BIGINT;
BEGIN
    FOR full_of IN SELECT tenant_id, webhook_id FROM webhook_outbox GROUP BY 1, 2 HAVING count(*) > most LOOP
        UPDATE webhook SET standing = 'disabled', reason = 'backlog'
            WHERE tenant_id = full_of.tenant_id AND id = full_of.webhook_id;
        DELETE FROM webhook_outbox WHERE tenant_id = full_of.tenant_id AND webhook_id = full_of.webhook_id;
        GET DIAGNOSTICS rows_of = ROW_COUNT;
        dropped := dropped + rows_of;
    END LOOP;
    RETURN dropped;
END
$$;
REVOKE ALL ON FUNCTION announce_terms(BIGINT, BIGINT), delivery_tenants(BIGINT), cap_outbox(BIGINT) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION announce_terms(BIGINT, BIGINT), delivery_tenants(BIGINT), cap_outbox(BIGINT) TO license_core_app;

CREATE FUNCTION audit_webhook() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_event (tenant_id, at, kind, actor, detail)
    VALUES (coalesce(NEW.tenant_id, OLD.tenant_id), now_ms(),
            CASE TG_OP WHEN 'INSERT' THEN 'webhook.created' WHEN 'UPDATE' THEN 'webhook.changed' ELSE 'webhook.deleted' END,
            actor(), json_build_object('id', coalesce(NEW.id, OLD.id), 'standing', NEW.standing, 'reason', NEW.reason)::text);
    RETURN NULL;
END
$$;
CREATE TRIGGER audit_made AFTER INSERT OR DELETE ON webhook FOR EACH ROW EXECUTE FUNCTION audit_webhook();
CREATE TRIGGER audit_set AFTER UPDATE ON webhook FOR EACH ROW
    WHEN (OLD.standing <> NEW.standing OR OLD.url <> NEW.url OR OLD.events <> NEW.events OR OLD.secret <> NEW.secret)
    EXECUTE FUNCTION audit_webhook();
