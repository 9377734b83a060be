-- After a restore from a backup, who holds what is not known until the leases that were lost with the tail are over: no
-- new seat is given before `held_until`.
INSERT INTO memory (name, value) VALUES ('held_until', 0);

-- Lets every license's fencing epoch jump past whatever was lost, and holds new seats for `hold_ms`, or for the longest
-- lease that a policy or `longest_ms` allows. Returns when the hold is over.
CREATE FUNCTION restored(hold_ms BIGINT, longest_ms BIGINT) RETURNS BIGINT
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    until BIGINT;
BEGIN
    SELECT now_ms() + coalesce(hold_ms, greatest(longest_ms, coalesce(max(greatest(ttl_secs, offline_max_secs)), 0) * 1000))
        INTO until FROM policy;
    UPDATE license SET epoch = epoch + 4294967296;
    UPDATE memory SET value = until WHERE name = 'held_until';
    INSERT INTO audit_event (tenant_id, at, kind, actor, detail)
        SELECT id, now_ms(), 'store.restored', 'operator', json_build_object('held_until', until)::text FROM tenant;
    RETURN until;
END
$$;
REVOKE ALL ON FUNCTION restored(BIGINT, BIGINT) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION restored(BIGINT, BIGINT) TO license_core_app;
