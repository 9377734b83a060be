-- Administration by people who are named: who acts stands in `acting` while a transaction's job runs.
CREATE TABLE acting (actor TEXT NOT NULL) STRICT;
INSERT INTO acting (actor) VALUES ('operator');

-- Counts the changes by administrators, so that one does not undo another's unseen.
ALTER TABLE license ADD COLUMN revision INTEGER NOT NULL DEFAULT 1;
-- A session that was taken offline: its seat is leased until then, whatever its heartbeats.
ALTER TABLE session ADD COLUMN borrowed_until INTEGER;
-- Reports look back over a license's sessions.
CREATE INDEX session_history ON session (tenant_id, license_id, started_at);

CREATE TABLE product (
    tenant_id   TEXT    NOT NULL REFERENCES tenant (id),
    name        TEXT    NOT NULL,
    description TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, name)
) STRICT;

CREATE TABLE entitlement (
    tenant_id  TEXT NOT NULL,
    license_id TEXT NOT NULL,
    name       TEXT NOT NULL,
    PRIMARY KEY (tenant_id, license_id, name),
    FOREIGN KEY (tenant_id, license_id) REFERENCES license (tenant_id, id)
) STRICT;

-- How often seats were denied: one row per license, hour and reason.
CREATE TABLE denial (
    tenant_id  TEXT    NOT NULL,
    license_id TEXT    NOT NULL,
    hour       INTEGER NOT NULL,
    code       TEXT    NOT NULL,
    times      INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, license_id, hour, code),
    FOREIGN KEY (tenant_id, license_id) REFERENCES license (tenant_id, id)
) STRICT;

-- Answers that a repeated request gets again. Without a status the first request is still in hand.
CREATE TABLE idempotency (
    tenant_id  TEXT    NOT NULL REFERENCES tenant (id),
    subject    TEXT    NOT NULL,
    key        TEXT    NOT NULL,
    request    BLOB    NOT NULL,
    status     INTEGER,
    body       BLOB,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, subject, key)
) STRICT;
CREATE INDEX idempotency_age ON idempotency (created_at);

DROP TRIGGER audit_tenant_made;
CREATE TRIGGER audit_tenant_made AFTER INSERT ON tenant BEGIN
    INSERT INTO audit_event (tenant_id, at, kind, actor, detail)
    SELECT NEW.id, NEW.created_at, 'tenant.created', actor, '{}' FROM acting;
END;
DROP TRIGGER audit_tenant_set;
CREATE TRIGGER audit_tenant_set AFTER UPDATE OF standing ON tenant WHEN OLD.standing <> NEW.standing BEGIN
    INSERT INTO audit_event (tenant_id, at, kind, actor, detail)
    SELECT NEW.id, value, 'tenant.' || NEW.standing, actor, '{}' FROM memory, acting WHERE memory.name = 'now';
END;
DROP TRIGGER audit_subject_made;
CREATE TRIGGER audit_subject_made AFTER INSERT ON subject BEGIN
    INSERT INTO audit_event (tenant_id, at, kind, actor, detail)
    SELECT NEW.tenant_id, value, 'subject.' || NEW.standing, actor, json_object('subject', NEW.id)
    FROM memory, acting WHERE memory.name = 'now';
END;
DROP TRIGGER audit_subject_set;
CREATE TRIGGER audit_subject_set AFTER UPDATE OF standing ON subject WHEN OLD.standing <> NEW.standing BEGIN
    INSERT INTO audit_event (tenant_id, at, kind, actor, detail)
    SELECT NEW.tenant_id, value, 'subject.' || NEW.standing, actor, json_object('subject', NEW.id)
    FROM memory, acting WHERE memory.name = 'now';
END;
DROP TRIGGER audit_license_made;
CREATE TRIGGER audit_license_made AFTER INSERT ON license BEGIN
    INSERT INTO audit_event (tenant_id, at, kind, actor, license_id, detail)
    SELECT NEW.tenant_id, NEW.created_at, 'license.created', actor, NEW.id,
           json_object('name', NEW.name, 'seats', NEW.seats, 'leasing', NEW.leasing) FROM acting;
END;
DROP TRIGGER audit_license_set;
CREATE TRIGGER audit_license_set AFTER UPDATE OF standing, seats, revision ON license
WHEN OLD.standing <> NEW.standing OR OLD.seats <> NEW.seats OR OLD.revision <> NEW.revision BEGIN
    INSERT INTO audit_event (tenant_id, at, kind, actor, license_id, detail)
    SELECT NEW.tenant_id, value, 'license.changed', actor, NEW.id,
           json_object('seats', NEW.seats, 'standing', NEW.standing, 'product', NEW.product, 'expires_at', NEW.expires_at)
    FROM memory, acting WHERE memory.name = 'now';
END;
DROP TRIGGER audit_seat_ended;
CREATE TRIGGER audit_seat_ended AFTER UPDATE OF ending ON session
WHEN OLD.ending IS NULL AND NEW.ending IS NOT NULL BEGIN
    INSERT INTO audit_event (tenant_id, at, kind, actor, license_id, session_id, detail)
    SELECT NEW.tenant_id, NEW.ended_at, 'seat.' || NEW.ending,
           CASE NEW.ending WHEN 'released' THEN NEW.subject WHEN 'revoked' THEN actor ELSE 'service' END,
           NEW.license_id, NEW.id, json_object('epoch', NEW.epoch) FROM acting;
END;
CREATE TRIGGER audit_seat_borrowed AFTER UPDATE OF borrowed_until ON session WHEN NEW.borrowed_until IS NOT NULL BEGIN
    INSERT INTO audit_event (tenant_id, at, kind, actor, license_id, session_id, detail)
    SELECT NEW.tenant_id, value, 'seat.borrowed', NEW.subject, NEW.license_id, NEW.id,
           json_object('epoch', NEW.epoch, 'until', NEW.borrowed_until) FROM memory WHERE name = 'now';
END;
CREATE TRIGGER audit_product_made AFTER INSERT ON product BEGIN
    INSERT INTO audit_event (tenant_id, at, kind, actor, detail)
    SELECT NEW.tenant_id, NEW.created_at, 'product.created', actor, json_object('name', NEW.name) FROM acting;
END;
CREATE TRIGGER audit_product_gone AFTER DELETE ON product BEGIN
    INSERT INTO audit_event (tenant_id, at, kind, actor, detail)
    SELECT OLD.tenant_id, value, 'product.deleted', actor, json_object('name', OLD.name)
    FROM memory, acting WHERE memory.name = 'now';
END;
CREATE TRIGGER audit_entitlement_given AFTER INSERT ON entitlement BEGIN
    INSERT INTO audit_event (tenant_id, at, kind, actor, license_id, detail)
    SELECT NEW.tenant_id, value, 'entitlement.given', actor, NEW.license_id, json_object('name', NEW.name)
    FROM memory, acting WHERE memory.name = 'now';
END;
CREATE TRIGGER audit_entitlement_taken AFTER DELETE ON entitlement BEGIN
    INSERT INTO audit_event (tenant_id, at, kind, actor, license_id, detail)
    SELECT OLD.tenant_id, value, 'entitlement.taken', actor, OLD.license_id, json_object('name', OLD.name)
    FROM memory, acting WHERE memory.name = 'now';
END;
