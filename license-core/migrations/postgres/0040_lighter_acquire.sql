-- What an acquire costs, lowered: every statement in a function costs its start and its end, and every partial index
-- that its predicate is made ready, whatever they find.
--
-- The license is locked by the step of its fencing epoch, which is taken before it is known whether the seat is: an epoch
-- that no lease got is passed over. Its live sessions are looked at once instead of three times; those that ran out are
-- ended where the look finds some, and it looks again then: one that is being renewed right now is waited for by the
-- update, and counted as it stands afterwards.
CREATE OR REPLACE FUNCTION acquire(tenant TEXT, key BYTEA, random_id TEXT, wanted_subject TEXT, wanted_hardware TEXT,
                                   email TEXT, meta TEXT, away_ms BIGINT, ttl_ms BIGINT, age_max_ms BIGINT,
                                   OUT granted session, OUT used BIGINT, OUT total BIGINT)
    RETURNS SETOF RECORD LANGUAGE plpgsql AS $$
DECLARE
    l      license;
    at     BIGINT;
    holds  BOOLEAN;
    own    BOOLEAN;
    lapsed BOOLEAN;
    name   TEXT;
    hex    TEXT;
BEGIN
    name := set_config('app.tenant_id', tenant, true);
    UPDATE license c SET epoch = c.epoch + 1
        WHERE c.key_hash = key AND c.tenant_id = tenant AND c.policy IS NULL AND c.standing = 'active'
          AND EXISTS (SELECT FROM tenant t WHERE t.id = tenant AND t.standing = 'active')
          AND NOT EXISTS (SELECT FROM subject u WHERE u.tenant_id = tenant AND u.id = wanted_subject AND u.standing <> 'active')
          AND NOT EXISTS (SELECT FROM memory m WHERE (m.name = 'alive_at' AND m.value < now_ms() - away_ms)
                                                  OR (m.name = 'held_until' AND m.value > now_ms()))
        RETURNING c.* INTO l;
    -- The time is read once the row is held.
    at := now_ms();
    IF l.id IS NULL OR l.expires_at <= at THEN
        RETURN;
    END IF;
    name := CASE l.leasing WHEN 'per_machine' THEN 'machine:' || wanted_hardware ELSE 'user:' || wanted_subject END;
    LOOP
        SELECT count(DISTINCT s.holder), coalesce(bool_or(s.holder = name), false),
               coalesce(bool_or(s.hardware = wanted_hardware AND s.subject = wanted_subject), false),
               coalesce(bool_or(s.expires_at <= at), false)
            INTO used, holds, own, lapsed
            FROM session s WHERE s.tenant_id = tenant AND s.license_id = l.id AND s.ended_at IS NULL;
        EXIT WHEN NOT lapsed;
        UPDATE session s SET ended_at = s.expires_at, ending = 'expired'
            WHERE s.tenant_id = tenant AND s.license_id = l.id AND s.ended_at IS NULL AND s.expires_at <= at;
    END LOOP;
    IF own THEN
        RETURN;
    END IF;
    total := l.seats + CASE WHEN at < l.burst_until THEN l.burst_seats ELSE 0 END;
    IF NOT holds THEN
        IF used >= total THEN
            RETURN;
        END IF;
        used := used + 1;
    END IF;
    hex := lpad(to_hex(at), 12, '0');
    INSERT INTO session AS s (tenant_id, id, license_id, subject, hardware, holder, user_email, metadata, epoch, started_at,
                              last_heartbeat_at, expires_at)
        VALUES (tenant, left(hex, 8) || '-' || right(hex, 4) || '-7' || substr(random_id, 16), l.id, wanted_subject, wanted_hardware, name, email, meta, l.epoch, at, at,
                at + least(ttl_ms, age_max_ms))
        RETURNING s.* INTO granted;
    RETURN NEXT;
END
$$;

CREATE OR REPLACE FUNCTION heartbeat(tenant TEXT, session_id TEXT, holder_subject TEXT, away_ms BIGINT, ttl_ms BIGINT, age_max_ms BIGINT)
    RETURNS SETOF session LANGUAGE plpgsql AS $$
DECLARE
    at   BIGINT := now_ms();
    kept TEXT;
BEGIN
    kept := set_config('app.tenant_id', tenant, true);
    RETURN QUERY UPDATE session s
        SET last_heartbeat_at = at,
            expires_at = greatest(s.expires_at, least(at + coalesce(p.ttl_secs * 1000, ttl_ms),
                                                      s.started_at + coalesce(p.age_max_secs * 1000, age_max_ms)))
        FROM license l LEFT JOIN policy p ON p.tenant_id = l.tenant_id AND p.name = l.policy
        WHERE s.tenant_id = tenant AND s.id = session_id AND s.subject = holder_subject
          AND s.ended_at IS NULL AND s.expires_at > at
          AND l.tenant_id = tenant AND l.id = s.license_id AND l.standing = 'active'
          AND (l.expires_at IS NULL OR l.expires_at > at OR p.expiry <> 'restrict')
          AND EXISTS (SELECT FROM tenant t WHERE t.id = tenant AND t.standing = 'active')
          AND NOT EXISTS (SELECT FROM subject u
                          WHERE u.tenant_id = tenant AND u.id = holder_subject AND u.standing <> 'active')
          AND at - (SELECT m.value FROM memory m WHERE m.name = 'alive_at') <= away_ms
        RETURNING s.*;
END
$$;

-- The sweeper goes by the index of live sessions that there is anyway.
CREATE OR REPLACE FUNCTION sweep(most BIGINT) RETURNS BIGINT
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    swept BIGINT;
BEGIN
    UPDATE session s SET ended_at = s.expires_at, ending = 'expired'
        FROM (SELECT tenant_id, id FROM session WHERE ended_at IS NULL AND expires_at <= now_ms()
              ORDER BY tenant_id, license_id, hardware, subject LIMIT most FOR UPDATE SKIP LOCKED) due
        WHERE s.tenant_id = due.tenant_id AND s.id = due.id;
    GET DIAGNOSTICS swept = ROW_COUNT;
    RETURN swept;
END
$$;
DROP INDEX session_sweep;

-- A function in SQL is planned anew by each call that is not part of another's plan; one in PL/pgSQL once for each
-- connection. Most tenants have no webhook, and hear so by one look.
CREATE OR REPLACE FUNCTION webhook_tell(tenant TEXT, told TEXT, told_at BIGINT, what TEXT) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO webhook_outbox (tenant_id, id, webhook_id, event, at, data, due_at)
    SELECT w.tenant_id, replace(gen_random_uuid()::text, '-', ''), w.id, told, told_at, what, now_ms()
    FROM webhook w WHERE w.tenant_id = tenant AND w.standing = 'active'
        AND (w.events = '*' OR w.events LIKE '% ' || told || ' %');
END
$$;
CREATE OR REPLACE FUNCTION webhook_seat() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.kind IN ('seat.acquired', 'seat.released', 'seat.expired', 'seat.revoked') THEN
        IF EXISTS (SELECT FROM webhook w WHERE w.tenant_id = NEW.tenant_id AND w.standing = 'active') THEN
            PERFORM webhook_tell(NEW.tenant_id,
                CASE NEW.kind WHEN 'seat.acquired' THEN 'license.seat.acquired' WHEN 'seat.expired' THEN 'license.seat.timeout'
                              ELSE 'license.seat.released' END,
                NEW.at,
                json_build_object('license_id', NEW.license_id, 'session_id', NEW.session_id,
                                  'lease_epoch', NEW.detail::json -> 'epoch', 'how', substr(NEW.kind, 6))::text);
        END IF;
    END IF;
    RETURN NULL;
END
$$;
-- A trigger's condition is read from its text by each statement.
DROP TRIGGER webhook_seat ON audit_event;
CREATE TRIGGER webhook_seat AFTER INSERT ON audit_event FOR EACH ROW EXECUTE FUNCTION webhook_seat();

-- What is to be linked stands in the chain's index already, at each tenant's end.
DROP INDEX audit_unlinked;
CREATE OR REPLACE FUNCTION unlinked_tenants() RETURNS SETOF TEXT LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT
    AS $$
    SELECT t.id FROM tenant t,
        LATERAL (SELECT FROM audit_event e WHERE e.tenant_id = t.id AND e.position IS NULL LIMIT 1) due
$$;
