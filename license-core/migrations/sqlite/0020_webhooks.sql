-- Webhooks: where a tenant wants to hear of its seats and licenses, and the outbox of what is to be told. Events are
-- written by the database itself, in the transaction of what they tell of, one row for each webhook that asked for them.
CREATE TABLE webhook (
    tenant_id     TEXT    NOT NULL REFERENCES tenant (id),
    id            TEXT    NOT NULL,
    url           TEXT    NOT NULL,
    -- `*`, or the names of events with a space around each.
    events        TEXT    NOT NULL,
    standing      TEXT    NOT NULL DEFAULT 'active' CHECK (standing IN ('active', 'disabled')),
    -- Why it is disabled.
    reason        TEXT,
    -- Sealed under the wrapping key. The former one signs too until its time is over.
    secret        BLOB    NOT NULL,
    former_secret BLOB,
    former_until  INTEGER NOT NULL DEFAULT 0,
    created_at    INTEGER NOT NULL,
    delivered_at  INTEGER,
    failed_at     INTEGER,
    failure       TEXT,
    PRIMARY KEY (tenant_id, id)
) STRICT;
CREATE TABLE webhook_outbox (
    tenant_id  TEXT    NOT NULL,
    -- What receivers know a repeated delivery by. Random, so that a restored store does not use one twice.
    id         TEXT    NOT NULL,
    webhook_id TEXT    NOT NULL,
    event      TEXT    NOT NULL,
    at         INTEGER NOT NULL,
    data       TEXT    NOT NULL,
    attempts   INTEGER NOT NULL DEFAULT 0,
    due_at     INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, webhook_id) REFERENCES webhook (tenant_id, id) ON DELETE CASCADE
) STRICT;
CREATE INDEX webhook_outbox_due ON webhook_outbox (due_at, tenant_id);
CREATE INDEX webhook_outbox_of ON webhook_outbox (tenant_id, webhook_id);
-- What was told of a license's term: once for each term.
CREATE TABLE license_notice (
    tenant_id  TEXT    NOT NULL,
    license_id TEXT    NOT NULL,
    kind       TEXT    NOT NULL CHECK (kind IN ('expiring', 'expired')),
    term       INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, license_id, kind, term),
    FOREIGN KEY (tenant_id, license_id) REFERENCES license (tenant_id, id)
) STRICT;
CREATE INDEX license_term ON license (expires_at) WHERE expires_at IS NOT NULL;

CREATE TRIGGER webhook_seat AFTER INSERT ON audit_event
WHEN NEW.kind IN ('seat.acquired', 'seat.released', 'seat.expired', 'seat.revoked') BEGIN
    INSERT INTO webhook_outbox (tenant_id, id, webhook_id, event, at, data, due_at)
    SELECT w.tenant_id, lower(hex(randomblob(16))), w.id, e.name, NEW.at,
           json_object('license_id', NEW.license_id, 'session_id', NEW.session_id,
                       'lease_epoch', json_extract(NEW.detail, '$.epoch'), 'how', substr(NEW.kind, 6)), m.value
    FROM webhook w, memory m,
         (SELECT CASE NEW.kind WHEN 'seat.acquired' THEN 'license.seat.acquired' WHEN 'seat.expired'
                 THEN 'license.seat.timeout' ELSE 'license.seat.released' END AS name) e
    WHERE m.name = 'now' AND w.tenant_id = NEW.tenant_id AND w.standing = 'active'
      AND (w.events = '*' OR w.events LIKE '% ' || e.name || ' %');
END;
-- The first denial of an hour tells that a license is exhausted.
CREATE TRIGGER webhook_exhausted AFTER INSERT ON denial WHEN NEW.code = 'no_seats_available' BEGIN
    INSERT INTO webhook_outbox (tenant_id, id, webhook_id, event, at, data, due_at)
    SELECT w.tenant_id, lower(hex(randomblob(16))), w.id, 'license.seats.exhausted', m.value,
           json_object('license_id', NEW.license_id), m.value
    FROM webhook w, memory m WHERE m.name = 'now' AND w.tenant_id = NEW.tenant_id AND w.standing = 'active'
      AND (w.events = '*' OR w.events LIKE '% license.seats.exhausted %');
END;
CREATE TRIGGER webhook_term AFTER INSERT ON license_notice BEGIN
    INSERT INTO webhook_outbox (tenant_id, id, webhook_id, event, at, data, due_at)
    SELECT w.tenant_id, lower(hex(randomblob(16))), w.id, 'license.' || NEW.kind, m.value,
           json_object('license_id', NEW.license_id, 'expires_at', NEW.term), m.value
    FROM webhook w, memory m WHERE m.name = 'now' AND w.tenant_id = NEW.tenant_id AND w.standing = 'active'
      AND (w.events = '*' OR w.events LIKE '% license.' || NEW.kind || ' %');
END;

CREATE TRIGGER audit_webhook_made AFTER INSERT ON webhook BEGIN
    INSERT INTO audit_event (tenant_id, at, kind, actor, detail)
    SELECT NEW.tenant_id, NEW.created_at, 'webhook.created', actor, json_object('id', NEW.id) FROM acting;
END;
CREATE TRIGGER audit_webhook_set AFTER UPDATE ON webhook
WHEN OLD.standing <> NEW.standing OR OLD.url <> NEW.url OR OLD.events <> NEW.events OR OLD.secret <> NEW.secret BEGIN
    INSERT INTO audit_event (tenant_id, at, kind, actor, detail)
    SELECT NEW.tenant_id, value, 'webhook.changed', actor,
           json_object('id', NEW.id, 'standing', NEW.standing, 'reason', NEW.reason)
    FROM memory, acting WHERE memory.name = 'now';
END;
CREATE TRIGGER audit_webhook_gone AFTER DELETE ON webhook BEGIN
    INSERT INTO audit_event (tenant_id, at, kind, actor, detail)
    SELECT OLD.tenant_id, value, 'webhook.deleted', actor, json_object('id', OLD.id)
    FROM memory, acting WHERE memory.name = 'now';
END;
