-- The limits on what is free, shared by all processes.

-- How many requests the last 60 seconds saw, at most: this minute's, and of the last one's the share that is not yet
-- 60 seconds ago. Needs two numbers per key, whatever the limit.
CREATE FUNCTION alittlebitofmoney.seen(p_before integer, p_now integer, p_elapsed double precision)
RETURNS double precision LANGUAGE sql IMMUTABLE AS $$
    SELECT p_before * (1 - p_elapsed) + p_now
$$;

-- In how many whole seconds one more request will fit, if none comes meanwhile. `p_elapsed` is the share of this
-- minute that has passed.
CREATE FUNCTION alittlebitofmoney.wait_seconds(
    p_before integer, p_now integer, p_elapsed double precision, p_per_minute integer
) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
    SELECT greatest(1, ceil(60 * CASE
        WHEN p_now < p_per_minute THEN 1 - (p_per_minute - 1 - p_now)::double precision / greatest(p_before, 1) - p_elapsed
        -- Not in this minute. In the next one its requests fade.
        ELSE 2 - (p_per_minute - 1)::double precision / greatest(p_now, 1) - p_elapsed
    END))::integer
$$;

-- Count one request of `p_what` if the limit allows it: 0, else the seconds to wait. The row's lock makes racing
-- requests count one after the other.
CREATE FUNCTION alittlebitofmoney.count_free(p_what bytea, p_per_minute integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    v_now_us bigint := alittlebitofmoney.now_us();
    v_minute bigint := v_now_us / 60000000;
    v_elapsed double precision := (v_now_us % 60000000) / 60000000.0;
    v_before integer := coalesce((
        SELECT requests FROM alittlebitofmoney.free_requests WHERE what = p_what AND minute = v_minute - 1
    ), 0);
    v_now integer;
BEGIN
    IF alittlebitofmoney.seen(v_before, 1, v_elapsed) <= p_per_minute THEN
        INSERT INTO alittlebitofmoney.free_requests AS counted (what, minute, requests) VALUES (p_what, v_minute, 1)
        ON CONFLICT (what, minute) DO UPDATE SET requests = counted.requests + 1
            WHERE alittlebitofmoney.seen(v_before, counted.requests + 1, v_elapsed) <= p_per_minute;
        IF FOUND THEN
            RETURN 0;
        END IF;
    END IF;
    SELECT requests INTO v_now FROM alittlebitofmoney.free_requests WHERE what = p_what AND minute = v_minute;
    RETURN alittlebitofmoney.wait_seconds(v_before, coalesce(v_now, 0), v_elapsed, p_per_minute);
END
$$;

-- `p_shares`: [{"name", "key", "per_minute"}]. One request is counted for each in turn, up to the first that is full;
-- how many whole seconds to wait for that one, 0 if none is.
CREATE FUNCTION public.alb_count_free(p_shares jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    v_share jsonb;
    v_wait integer;
BEGIN
    FOR v_share IN SELECT value FROM jsonb_array_elements(p_shares) LOOP
        v_wait := alittlebitofmoney.count_free(
            sha256(convert_to((v_share ->> 'name') || E'\n' || (v_share ->> 'key'), 'UTF8')),
            (v_share ->> 'per_minute')::integer
        );
        IF v_wait > 0 THEN
            RETURN jsonb_build_object('wait_seconds', v_wait);
        END IF;
    END LOOP;
    RETURN '{"wait_seconds": 0}';
END
$$;

SELECT alittlebitofmoney.close_doors();
