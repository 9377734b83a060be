-- The two requests that there are most of, each in one round trip, where nothing stands against them. Whatever does
-- (an ended session, a suspension, a policy, no seat, an absence to be made good) yields no row, and the program asks
-- again step by step: what is denied, and why, is decided there alone.
--
-- They run as whoever calls them, under row-level security, for the tenant that they set for their transaction.
CREATE FUNCTION heartbeat(tenant TEXT, session_id TEXT, holder_subject TEXT, away_ms BIGINT, ttl_ms BIGINT, age_max_ms BIGINT)
    RETURNS SETOF session LANGUAGE plpgsql AS $$
DECLARE
    at BIGINT := now_ms();
BEGIN
    PERFORM set_config('app.tenant_id', tenant, true);
    RETURN QUERY UPDATE session s
        SET last_heartbeat_at = at,
            expires_at = greatest(s.expires_at, least(at + coalesce(p.ttl_secs * 1000, ttl_ms),
                                                      s.started_at + coalesce(p.age_max_secs * 1000, age_max_ms)))
        FROM license l JOIN tenant t ON t.id = l.tenant_id
             LEFT JOIN policy p ON p.tenant_id = l.tenant_id AND p.name = l.policy
        WHERE s.tenant_id = tenant AND s.id = session_id AND s.subject = holder_subject
          AND s.ended_at IS NULL AND s.expires_at > at
          AND l.tenant_id = tenant AND l.id = s.license_id
          AND t.standing = 'active' AND l.standing = 'active'
          AND (l.expires_at IS NULL OR l.expires_at > at OR p.expiry <> 'restrict')
          AND NOT EXISTS (SELECT FROM subject u
                          WHERE u.tenant_id = tenant AND u.id = holder_subject AND u.standing <> 'active')
          AND at - (SELECT m.value FROM memory m WHERE m.name = 'alive_at') <= away_ms
        RETURNING s.*;
END
$$;

-- Grants a seat of a license without a policy to a holder that has no session there. The session's id is of version 7:
-- the database's time, and the random digits of `random_id`, which is of version 4.
CREATE FUNCTION acquire(tenant TEXT, key BYTEA, random_id TEXT, wanted_subject TEXT, wanted_hardware TEXT, email TEXT,
                        meta TEXT, away_ms BIGINT, ttl_ms BIGINT, age_max_ms BIGINT, OUT granted session, OUT used BIGINT,
                        OUT total BIGINT)
    RETURNS SETOF RECORD LANGUAGE plpgsql AS $$
DECLARE
    l     license;
    at    BIGINT;
    holds BOOLEAN;
    name  TEXT;
    hex   TEXT;
BEGIN
    PERFORM set_config('app.tenant_id', tenant, true);
    SELECT c.* INTO l FROM license c WHERE c.key_hash = key AND c.tenant_id = tenant FOR NO KEY UPDATE;
    -- The time is read once the row is held.
    at := now_ms();
    IF l.id IS NULL OR l.policy IS NOT NULL OR l.standing <> 'active' OR l.expires_at <= at
       OR at - (SELECT m.value FROM memory m WHERE m.name = 'alive_at') > away_ms
       OR at < (SELECT m.value FROM memory m WHERE m.name = 'held_until')
       OR NOT EXISTS (SELECT FROM tenant t WHERE t.id = tenant AND t.standing = 'active')
       OR EXISTS (SELECT FROM subject u WHERE u.tenant_id = tenant AND u.id = wanted_subject AND u.standing <> 'active')
    THEN
        RETURN;
    END IF;
    name := CASE l.leasing WHEN 'per_machine' THEN 'machine:' || wanted_hardware ELSE 'user:' || wanted_subject END;
    UPDATE session s SET ended_at = s.expires_at, ending = 'expired'
        WHERE s.tenant_id = tenant AND s.license_id = l.id AND s.ended_at IS NULL AND s.expires_at <= at;
    IF EXISTS (SELECT FROM session s WHERE s.tenant_id = tenant AND s.license_id = l.id
               AND s.hardware = wanted_hardware AND s.subject = wanted_subject AND s.ended_at IS NULL)
    THEN
        RETURN;
    END IF;
    SELECT count(DISTINCT s.holder), coalesce(bool_or(s.holder = name), false) INTO used, holds
        FROM session s WHERE s.tenant_id = tenant AND s.license_id = l.id AND s.ended_at IS NULL;
    total := l.seats + CASE WHEN at < l.burst_until THEN l.burst_seats ELSE 0 END;
    IF NOT holds THEN
        IF used >= total THEN
            RETURN;
        END IF;
        used := used + 1;
    END IF;
    hex := lpad(to_hex(at), 12, '0');
    UPDATE license c SET epoch = c.epoch + 1 WHERE c.tenant_id = tenant AND c.id = l.id RETURNING c.epoch INTO l.epoch;
    INSERT INTO session AS s (tenant_id, id, license_id, subject, hardware, holder, user_email, metadata, epoch, started_at,
                              last_heartbeat_at, expires_at)
        VALUES (tenant, left(hex, 8) || '-' || right(hex, 4) || '-7' || substr(random_id, 16), l.id, wanted_subject, wanted_hardware, name, email, meta, l.epoch, at, at,
                at + least(ttl_ms, age_max_ms))
        RETURNING s.* INTO granted;
    RETURN NEXT;
END
$$;
