-- Events are linked by a commitment to their persons from here on: a salted hash of `actor` and `detail`. The one change
-- that a linked event takes is that its persons are erased: names and salt go, the commitment and the chain stay.
ALTER TABLE audit_event ADD COLUMN salt BYTEA;
ALTER TABLE audit_event ADD COLUMN commitment BYTEA;
DROP TRIGGER audit_keeps ON audit_event;
CREATE TRIGGER audit_keeps BEFORE UPDATE ON audit_event FOR EACH ROW WHEN (
    CASE WHEN OLD.hash IS NULL THEN (NEW.actor, NEW.detail) IS DISTINCT FROM (OLD.actor, OLD.detail)
    ELSE OLD.commitment IS NULL OR NEW.salt IS NOT NULL OR NEW.actor <> 'erased' OR NEW.detail <> '{}'
        OR (NEW.id, NEW.tenant_id, NEW.at, NEW.kind, NEW.license_id, NEW.session_id, NEW.position, NEW.hash, NEW.commitment)
            IS DISTINCT FROM
           (OLD.id, OLD.tenant_id, OLD.at, OLD.kind, OLD.license_id, OLD.session_id, OLD.position, OLD.hash, OLD.commitment)
    END)
    EXECUTE FUNCTION audit_keeps();
GRANT UPDATE (salt, commitment, actor, detail) ON audit_event TO license_core_app;
GRANT DELETE ON subject, idempotency TO license_core_app;
