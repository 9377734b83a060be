-- The heads of the audit chains, signed every hour in which something happened. A chain must pass through all of them.
CREATE TABLE checkpoint (
    tenant_id TEXT    NOT NULL REFERENCES tenant (id),
    position  INTEGER NOT NULL,
    hash      BLOB    NOT NULL,
    at        INTEGER NOT NULL,
    signed    TEXT    NOT NULL,
    PRIMARY KEY (tenant_id, position)
) STRICT;
CREATE TRIGGER checkpoint_keeps BEFORE UPDATE ON checkpoint
BEGIN SELECT RAISE(ABORT, 'a checkpoint stays as it is'); END;
CREATE TRIGGER checkpoint_stays BEFORE DELETE ON checkpoint
BEGIN SELECT RAISE(ABORT, 'checkpoints are not deleted'); END;
