-- How the leases of a license behave, under a name that many licenses share. What is NULL follows the settings.
CREATE TABLE policy (
    tenant_id         TEXT    NOT NULL REFERENCES tenant (id),
    name              TEXT    NOT NULL,
    ttl_secs          INTEGER,
    age_max_secs      INTEGER,
    offline_max_secs  INTEGER,
    overdraft_percent INTEGER NOT NULL,
    take_over         TEXT    NOT NULL CHECK (take_over IN ('never', 'own', 'any')),
    expiry            TEXT    NOT NULL CHECK (expiry IN ('restrict', 'maintain', 'allow')),
    queue             INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, name)
) STRICT;
ALTER TABLE license ADD COLUMN policy TEXT;
-- More seats for a time: they end by themselves.
ALTER TABLE license ADD COLUMN burst_seats INTEGER NOT NULL DEFAULT 0;
ALTER TABLE license ADD COLUMN burst_until INTEGER NOT NULL DEFAULT 0;

-- Who waits for a seat. A place is kept by asking again.
CREATE TABLE waiting (
    tenant_id  TEXT    NOT NULL,
    license_id TEXT    NOT NULL,
    holder     TEXT    NOT NULL,
    since      INTEGER NOT NULL,
    asked_at   INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, license_id, holder),
    FOREIGN KEY (tenant_id, license_id) REFERENCES license (tenant_id, id)
) STRICT;

CREATE TRIGGER audit_policy_made AFTER INSERT ON policy BEGIN
    INSERT INTO audit_event (tenant_id, at, kind, actor, detail)
    SELECT NEW.tenant_id, value, 'policy.created', actor, json_object('name', NEW.name, 'overdraft', NEW.overdraft_percent)
    FROM memory, acting WHERE memory.name = 'now';
END;
CREATE TRIGGER audit_policy_set AFTER UPDATE ON policy BEGIN
    INSERT INTO audit_event (tenant_id, at, kind, actor, detail)
    SELECT NEW.tenant_id, value, 'policy.changed', actor, json_object('name', NEW.name, 'overdraft', NEW.overdraft_percent)
    FROM memory, acting WHERE memory.name = 'now';
END;
CREATE TRIGGER audit_policy_gone AFTER DELETE ON policy BEGIN
    INSERT INTO audit_event (tenant_id, at, kind, actor, detail)
    SELECT OLD.tenant_id, value, 'policy.deleted', actor, json_object('name', OLD.name)
    FROM memory, acting WHERE memory.name = 'now';
END;
CREATE TRIGGER audit_license_burst AFTER UPDATE OF burst_seats, burst_until ON license BEGIN
    INSERT INTO audit_event (tenant_id, at, kind, actor, license_id, detail)
    SELECT NEW.tenant_id, value, 'license.burst', actor, NEW.id,
           json_object('seats', NEW.burst_seats, 'until', NEW.burst_until)
    FROM memory, acting WHERE memory.name = 'now';
END;
