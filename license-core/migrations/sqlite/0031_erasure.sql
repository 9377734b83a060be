-- Events are linked by a commitment to their persons from here on: a salted hash of `actor` and `detail`. The one change
-- that a linked event takes is that its persons are erased: names and salt go, the commitment and the chain stay.
ALTER TABLE audit_event ADD COLUMN salt BLOB;
ALTER TABLE audit_event ADD COLUMN commitment BLOB;
DROP TRIGGER audit_keeps;
CREATE TRIGGER audit_keeps BEFORE UPDATE ON audit_event WHEN OLD.hash IS NOT NULL AND NOT (
    OLD.commitment IS NOT NULL AND NEW.salt IS NULL AND NEW.actor = 'erased' AND NEW.detail = '{}'
    AND NEW.id IS OLD.id AND NEW.tenant_id IS OLD.tenant_id AND NEW.at IS OLD.at AND NEW.kind IS OLD.kind
    AND NEW.license_id IS OLD.license_id AND NEW.session_id IS OLD.session_id AND NEW.position IS OLD.position
    AND NEW.hash IS OLD.hash AND NEW.commitment IS OLD.commitment)
BEGIN SELECT RAISE(ABORT, 'a linked audit event stays as it is'); END;
