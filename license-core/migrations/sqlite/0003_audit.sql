-- The audit trail: what happened to tenants, users, licenses and seats (heartbeats aside), written by the database
-- itself in the transaction of the change. The service links each tenant's events into a chain within seconds:
-- `position` counts from 1 without a gap, `hash` covers the event and the hash before it. A linked event stays as it is.
CREATE TABLE audit_event (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant_id  TEXT    NOT NULL,
    at         INTEGER NOT NULL,
    kind       TEXT    NOT NULL,
    actor      TEXT    NOT NULL,
    license_id TEXT,
    session_id TEXT,
    detail     TEXT    NOT NULL,
    position   INTEGER,
    hash       BLOB,
    CHECK ((position IS NULL) = (hash IS NULL))
) STRICT;
CREATE UNIQUE INDEX audit_chain ON audit_event (tenant_id, position);
CREATE INDEX audit_unlinked ON audit_event (id) WHERE position IS NULL;

CREATE TRIGGER audit_keeps BEFORE UPDATE ON audit_event WHEN OLD.hash IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'a linked audit event stays as it is'); END;
CREATE TRIGGER audit_stays BEFORE DELETE ON audit_event
BEGIN SELECT RAISE(ABORT, 'audit events are not deleted'); END;

-- Every transaction begins by setting `now` to its own time, a server's and an operator's command's alike.
INSERT INTO memory (name, value) VALUES ('now', 0);
CREATE TRIGGER audit_tenant_made AFTER INSERT ON tenant BEGIN
    INSERT INTO audit_event (tenant_id, at, kind, actor, detail)
    VALUES (NEW.id, NEW.created_at, 'tenant.created', 'operator', '{}');
END;
CREATE TRIGGER audit_tenant_set AFTER UPDATE OF standing ON tenant WHEN OLD.standing <> NEW.standing BEGIN
    INSERT INTO audit_event (tenant_id, at, kind, actor, detail)
    SELECT NEW.id, value, 'tenant.' || NEW.standing, 'operator', '{}' FROM memory WHERE name = 'now';
END;
CREATE TRIGGER audit_subject_made AFTER INSERT ON subject BEGIN
    INSERT INTO audit_event (tenant_id, at, kind, actor, detail)
    SELECT NEW.tenant_id, value, 'subject.' || NEW.standing, 'operator', json_object('subject', NEW.id)
    FROM memory WHERE name = 'now';
END;
CREATE TRIGGER audit_subject_set AFTER UPDATE OF standing ON subject WHEN OLD.standing <> NEW.standing BEGIN
    INSERT INTO audit_event (tenant_id, at, kind, actor, detail)
    SELECT NEW.tenant_id, value, 'subject.' || NEW.standing, 'operator', json_object('subject', NEW.id)
    FROM memory WHERE name = 'now';
END;
CREATE TRIGGER audit_license_made AFTER INSERT ON license BEGIN
    INSERT INTO audit_event (tenant_id, at, kind, actor, license_id, detail)
    VALUES (NEW.tenant_id, NEW.created_at, 'license.created', 'operator', NEW.id,
            json_object('name', NEW.name, 'seats', NEW.seats, 'leasing', NEW.leasing));
END;
CREATE TRIGGER audit_license_set AFTER UPDATE OF standing, seats ON license
WHEN OLD.standing <> NEW.standing OR OLD.seats <> NEW.seats BEGIN
    INSERT INTO audit_event (tenant_id, at, kind, actor, license_id, detail)
    SELECT NEW.tenant_id, value, 'license.changed', 'operator', NEW.id,
           json_object('seats', NEW.seats, 'standing', NEW.standing)
    FROM memory WHERE name = 'now';
END;
CREATE TRIGGER audit_seat_acquired AFTER INSERT ON session BEGIN
    INSERT INTO audit_event (tenant_id, at, kind, actor, license_id, session_id, detail)
    VALUES (NEW.tenant_id, NEW.started_at, 'seat.acquired', NEW.subject, NEW.license_id, NEW.id,
            json_object('hardware', NEW.hardware, 'epoch', NEW.epoch));
END;
CREATE TRIGGER audit_seat_ended AFTER UPDATE OF ending ON session
WHEN OLD.ending IS NULL AND NEW.ending IS NOT NULL BEGIN
    INSERT INTO audit_event (tenant_id, at, kind, actor, license_id, session_id, detail)
    VALUES (NEW.tenant_id, NEW.ended_at, 'seat.' || NEW.ending,
            CASE NEW.ending WHEN 'released' THEN NEW.subject WHEN 'revoked' THEN 'operator' ELSE 'service' END,
            NEW.license_id, NEW.id, json_object('epoch', NEW.epoch));
END;
