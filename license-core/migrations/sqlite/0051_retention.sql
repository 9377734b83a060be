-- Retention. Where a tenant's chain begins: what stands before the head of a signed checkpoint goes, bit by bit, once the
-- checkpoint is old enough. The event at that position stays, so that a program before this one links on from it.
CREATE TABLE audit_beginning (
    tenant_id TEXT    NOT NULL PRIMARY KEY REFERENCES tenant (id),
    position  INTEGER NOT NULL,
    hash      BLOB    NOT NULL,
    -- When the checkpoint was signed.
    at        INTEGER NOT NULL
) STRICT;

-- Nothing of the trail is deleted but what stands before its beginning.
DROP TRIGGER audit_stays;
CREATE TRIGGER audit_stays BEFORE DELETE ON audit_event WHEN OLD.position IS NULL
    OR OLD.position >= coalesce((SELECT position FROM audit_beginning WHERE tenant_id = OLD.tenant_id), 0)
BEGIN SELECT RAISE(ABORT, 'the audit trail is not deleted after its beginning'); END;
DROP TRIGGER checkpoint_stays;
CREATE TRIGGER checkpoint_stays BEFORE DELETE ON checkpoint
WHEN OLD.position >= coalesce((SELECT position FROM audit_beginning WHERE tenant_id = OLD.tenant_id), 0)
BEGIN SELECT RAISE(ABORT, 'the audit trail is not deleted after its beginning'); END;

-- The ways in of what is forgotten by age.
CREATE INDEX session_ended ON session (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX denial_hour ON denial (hour);
