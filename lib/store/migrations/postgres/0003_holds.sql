-- Leases, holds, their ends, and the answers that are kept.

-- Whether the lease lives; if so, it lives until this transaction ends, because who ends leases waits for this lock.
CREATE FUNCTION alittlebitofmoney.lock_lease(p_lease text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM alittlebitofmoney.leases WHERE id = p_lease AND ended_at_us IS NULL FOR KEY SHARE;
    RETURN FOUND;
END
$$;

CREATE FUNCTION alittlebitofmoney.position() RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object(
        'ledger_id', encode(ledger_id, 'hex'),
        'generation', generation,
        'newest_entry', (SELECT coalesce(max(id), 0) FROM alittlebitofmoney.entries)
    ) FROM alittlebitofmoney.meta
$$;

-- Begin a lease. Asking again for one that lives renews it; one that has ended stays so.
CREATE FUNCTION public.alb_take_lease(p_lease text) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    v_now_us bigint := alittlebitofmoney.now_us();
BEGIN
    INSERT INTO alittlebitofmoney.leases (id, taken_at_us, renewed_at_us) VALUES (p_lease, v_now_us, v_now_us)
    ON CONFLICT (id) DO UPDATE SET renewed_at_us = v_now_us WHERE leases.ended_at_us IS NULL;
    RETURN jsonb_build_object(
        'outcome', CASE WHEN FOUND THEN 'done' ELSE 'lease_expired' END, 'position', alittlebitofmoney.position()
    );
END
$$;

CREATE FUNCTION public.alb_renew(p_lease text) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    UPDATE alittlebitofmoney.leases SET renewed_at_us = alittlebitofmoney.now_us()
    WHERE id = p_lease AND ended_at_us IS NULL;
    RETURN jsonb_build_object('renewed', FOUND, 'position', alittlebitofmoney.position());
END
$$;

-- Return to one account what its calls under ended leases held; how many they were. A hold that was settled in the
-- meantime is not live any more once we have the account's lock.
CREATE FUNCTION alittlebitofmoney.lapse(p_account text, p_holds text[]) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_lapsed bigint;
    v_held_msat bigint;
    v_now_us bigint := alittlebitofmoney.now_us();
BEGIN
    PERFORM alittlebitofmoney.lock_account(p_account);
    WITH lapsed AS (
        UPDATE alittlebitofmoney.holds
        SET ended_at_us = v_now_us, lapsed_at_us = v_now_us, ending = 'lapsed', charge_msat = 0
        WHERE id = ANY (p_holds) AND ended_at_us IS NULL
        RETURNING ceiling_msat
    )
    SELECT count(*), coalesce(sum(ceiling_msat), 0) INTO v_lapsed, v_held_msat FROM lapsed;
    UPDATE alittlebitofmoney.accounts SET held_msat = held_msat - v_held_msat WHERE id = p_account;
    RETURN v_lapsed;
END
$$;

-- The one operation that locks several accounts: in the order of their ids.
CREATE FUNCTION alittlebitofmoney.lapse_holds_of_ended_leases() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_account text;
    v_holds text[];
    v_lapsed bigint := 0;
BEGIN
    FOR v_account, v_holds IN
        SELECT hold.account, array_agg(hold.id)
        FROM alittlebitofmoney.holds AS hold JOIN alittlebitofmoney.leases AS lease ON lease.id = hold.lease
        WHERE hold.ended_at_us IS NULL AND lease.ended_at_us IS NOT NULL
        GROUP BY hold.account ORDER BY hold.account
    LOOP
        v_lapsed := v_lapsed + alittlebitofmoney.lapse(v_account, v_holds);
    END LOOP;
    RETURN v_lapsed;
END
$$;

-- Give a lease back. FOR UPDATE waits for everybody who holds under it right now; their holds lapse with the others.
CREATE FUNCTION public.alb_end_lease(p_lease text) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    PERFORM FROM alittlebitofmoney.leases WHERE id = p_lease AND ended_at_us IS NULL FOR UPDATE;
    UPDATE alittlebitofmoney.leases SET ended_at_us = alittlebitofmoney.now_us()
    WHERE id = p_lease AND ended_at_us IS NULL;
    RETURN jsonb_build_object('outcome', 'done', 'lapsed', alittlebitofmoney.lapse_holds_of_ended_leases());
END
$$;

-- What is of no use any more; a request is not on its way for longer than a day. Rows that somebody else has in hand are left for the next time, so that nobody waits.
CREATE FUNCTION alittlebitofmoney.sweep() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_now_us bigint := alittlebitofmoney.now_us();
BEGIN
    DELETE FROM alittlebitofmoney.kept_answers WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM alittlebitofmoney.kept_answers
        WHERE expires_at_us <= v_now_us FOR UPDATE SKIP LOCKED
    ));
    DELETE FROM alittlebitofmoney.holds_given_up WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM alittlebitofmoney.holds_given_up
        WHERE given_up_at_us <= v_now_us - 86400000000 FOR UPDATE SKIP LOCKED
    ));
    DELETE FROM alittlebitofmoney.free_requests WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM alittlebitofmoney.free_requests
        WHERE minute < v_now_us / 60000000 - 1 FOR UPDATE SKIP LOCKED
    ));
END
$$;

-- Expire leases that were not renewed for so long. Who renews at this very moment is not expired: the lock waits for
-- it and then looks at the row again.
CREATE FUNCTION public.alb_expire(p_stale_after_us bigint) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    v_stale_us bigint := alittlebitofmoney.now_us() - p_stale_after_us;
    v_stale text[];
    v_lapsed bigint;
BEGIN
    v_stale := ARRAY(
        SELECT id FROM alittlebitofmoney.leases
        WHERE ended_at_us IS NULL AND renewed_at_us <= v_stale_us ORDER BY id FOR UPDATE
    );
    UPDATE alittlebitofmoney.leases SET ended_at_us = alittlebitofmoney.now_us() WHERE id = ANY (v_stale);
    v_lapsed := alittlebitofmoney.lapse_holds_of_ended_leases();
    PERFORM alittlebitofmoney.sweep();
    RETURN jsonb_build_object('lapsed', v_lapsed);
END
$$;

-- What the first request with this op_id got, or that its caller has given it up. NULL if it is the first.
CREATE FUNCTION alittlebitofmoney.first_hold(p_op_id text) RETURNS jsonb LANGUAGE sql AS $$
    SELECT '{"outcome": "given_up"}'::jsonb FROM alittlebitofmoney.holds_given_up WHERE id = p_op_id
    UNION ALL
    SELECT jsonb_build_object(
        'outcome', 'held',
        'account', account,
        'ceiling_msat', ceiling_msat,
        'btc_price_usd_micros', btc_price_usd_micros,
        'balance_msat', opened_balance_msat,
        'held_msat', opened_held_msat
    ) FROM alittlebitofmoney.holds WHERE id = p_op_id
$$;

-- What is kept for the owner under this name, if its time is not over.
CREATE FUNCTION alittlebitofmoney.kept(p_kind text, p_digest bytea, p_name bytea, p_order_digest bytea) RETURNS jsonb
LANGUAGE sql AS $$
    SELECT CASE
        WHEN order_digest = p_order_digest THEN jsonb_build_object('outcome', 'kept', 'sealed', encode(sealed, 'hex'))
        ELSE '{"outcome": "key_reused"}'
    END
    FROM alittlebitofmoney.kept_answers
    WHERE owner_kind = p_kind AND owner_digest = p_digest AND name = p_name
        AND expires_at_us > alittlebitofmoney.now_us()
$$;

-- Whether the same order still runs: under its Idempotency-Key, or left by this owner. NULL if it must be bought.
CREATE FUNCTION alittlebitofmoney.running(
    p_kind text, p_digest bytea, p_op_id text, p_order_digest bytea, p_idempotency bytea
) RETURNS jsonb LANGUAGE sql AS $$
    SELECT CASE
        WHEN order_digest = p_order_digest THEN '{"outcome": "still_running"}'::jsonb
        ELSE '{"outcome": "key_reused"}'
    END
    FROM (
        SELECT order_digest FROM alittlebitofmoney.holds
        WHERE owner_kind = p_kind AND owner_digest = p_digest AND idempotency = p_idempotency
            AND ended_at_us IS NULL AND id <> p_op_id
        UNION ALL
        SELECT order_digest FROM alittlebitofmoney.holds
        WHERE owner_kind = p_kind AND owner_digest = p_digest AND order_digest = p_order_digest
            AND ended_at_us IS NULL AND left_at_us IS NOT NULL AND id <> p_op_id
        LIMIT 1
    ) AS live
$$;

-- What the owner asked for is answered already, or on its way; NULL if it must be bought.
CREATE FUNCTION alittlebitofmoney.recalled(p_kind text, p_digest bytea, p_request jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_order bytea := decode(p_request ->> 'order_digest', 'hex');
    v_key bytea := decode(p_request ->> 'idempotency', 'hex');
BEGIN
    RETURN coalesce(
        alittlebitofmoney.kept(p_kind, p_digest, coalesce(v_key, v_order), v_order),
        alittlebitofmoney.running(p_kind, p_digest, p_request ->> 'op_id', v_order, v_key)
    );
END
$$;

-- A token that was used has arrived: the claim that made it is not repeated any more.
CREATE FUNCTION alittlebitofmoney.note_use(p_kind text, p_digest bytea) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE alittlebitofmoney.owners SET first_used_at_us = alittlebitofmoney.now_us()
    WHERE kind = p_kind AND digest = p_digest AND first_used_at_us IS NULL;
END
$$;

-- Reserve the ceiling on an account that is locked and has room for it.
CREATE FUNCTION alittlebitofmoney.record_hold(
    p_account text, p_kind text, p_digest bytea, p_request jsonb, p_quote jsonb, p_payment_hash bytea
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_ceiling_msat bigint := (p_quote ->> 'ceiling_msat')::bigint;
    v_balance_msat bigint;
    v_held_msat bigint;
BEGIN
    UPDATE alittlebitofmoney.accounts SET held_msat = held_msat + v_ceiling_msat WHERE id = p_account
    RETURNING balance_msat, held_msat INTO v_balance_msat, v_held_msat;
    INSERT INTO alittlebitofmoney.holds (
        id, account, owner_kind, owner_digest, payment_hash, lease, ceiling_msat, btc_price_usd_micros,
        order_digest, idempotency, request_id, api, path, model, opened_at_us, opened_balance_msat, opened_held_msat
    ) VALUES (
        p_request ->> 'op_id', p_account, p_kind, p_digest, p_payment_hash, p_request ->> 'lease', v_ceiling_msat,
        (p_quote ->> 'btc_price_usd_micros')::bigint,
        decode(p_request ->> 'order_digest', 'hex'), decode(p_request ->> 'idempotency', 'hex'),
        p_request ->> 'request_id', p_request ->> 'api', p_request ->> 'path', p_request ->> 'model',
        alittlebitofmoney.now_us(), v_balance_msat, v_held_msat
    );
    RETURN p_quote || jsonb_build_object(
        'outcome', 'held', 'account', p_account, 'balance_msat', v_balance_msat, 'held_msat', v_held_msat
    );
END
$$;

-- Hold, or say why not. All is decided under the account's lock; what the owner did before is found by its op_id, even
-- if it owns nothing any more.
CREATE FUNCTION alittlebitofmoney.reserve(
    p_kind text, p_digest bytea, p_request jsonb, p_quote jsonb, p_payment_hash bytea
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_leased boolean := alittlebitofmoney.lock_lease(p_request ->> 'lease');
    v_account alittlebitofmoney.accounts := alittlebitofmoney.lock_owned(p_kind, p_digest);
    v_first jsonb := alittlebitofmoney.first_hold(p_request ->> 'op_id');
    v_recalled jsonb;
BEGIN
    IF v_first IS NOT NULL THEN
        RETURN v_first;
    END IF;
    v_recalled := alittlebitofmoney.recalled(p_kind, p_digest, p_request);
    IF v_recalled IS NULL AND NOT v_leased THEN
        RETURN '{"outcome": "lease_expired"}';
    ELSIF v_account.id IS NULL THEN
        RETURN '{"outcome": "gone"}';
    END IF;
    PERFORM alittlebitofmoney.note_use(p_kind, p_digest);
    IF v_account.frozen THEN
        RETURN jsonb_build_object('outcome', 'frozen', 'account', v_account.id);
    ELSIF v_recalled IS NOT NULL THEN
        RETURN v_recalled;
    ELSIF v_account.balance_msat - v_account.held_msat < (p_quote ->> 'ceiling_msat')::bigint THEN
        RETURN p_quote || jsonb_build_object(
            'outcome', 'short', 'account', v_account.id,
            'balance_msat', v_account.balance_msat, 'held_msat', v_account.held_msat
        );
    END IF;
    RETURN alittlebitofmoney.record_hold(v_account.id, p_kind, p_digest, p_request, p_quote, p_payment_hash);
END
$$;

CREATE FUNCTION public.alb_hold(p_owner_kind text, p_owner_digest bytea, p_request jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    PERFORM alittlebitofmoney.lock_request(p_request ->> 'op_id');
    RETURN alittlebitofmoney.reserve(p_owner_kind, p_owner_digest, p_request, p_request -> 'quote', NULL);
END
$$;

-- What a redemption does the first time its macaroon is seen, or when the node's word comes with it. NULL to go on.
CREATE FUNCTION alittlebitofmoney.present(p_payment jsonb, p_request jsonb, p_limits jsonb, p_new_account text)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_hash bytea := alittlebitofmoney.hash_in(p_payment);
    v_outcome jsonb;
BEGIN
    PERFORM alittlebitofmoney.lock_payment(v_hash);
    v_outcome := alittlebitofmoney.first_hold(p_request ->> 'op_id');
    IF v_outcome IS NULL AND NOT alittlebitofmoney.lock_lease(p_request ->> 'lease') THEN
        v_outcome := '{"outcome": "lease_expired"}';
    END IF;
    v_outcome := coalesce(v_outcome, alittlebitofmoney.book_on_trust(p_payment, p_limits, p_new_account));
    IF v_outcome IS NULL THEN
        PERFORM alittlebitofmoney.note_macaroon(v_hash);
    END IF;
    RETURN v_outcome;
END
$$;

-- Credit once, then hold, under the pinned quote while that is unspent.
CREATE FUNCTION public.alb_redeem_and_hold(p_payment jsonb, p_request jsonb, p_limits jsonb, p_new_account text)
RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    v_hash bytea := alittlebitofmoney.hash_in(p_payment);
    v_quote jsonb := p_request -> 'quote';
    v_spent boolean;
    v_outcome jsonb;
BEGIN
    PERFORM alittlebitofmoney.lock_request(p_request ->> 'op_id');
    SELECT quote_spent INTO v_spent FROM alittlebitofmoney.credits
    WHERE payment_hash = v_hash AND macaroon_used_at_us IS NOT NULL;
    IF NOT FOUND OR (p_payment ->> 'confirmed')::boolean THEN
        v_outcome := alittlebitofmoney.present(p_payment, p_request, p_limits, p_new_account);
        IF v_outcome IS NOT NULL THEN
            RETURN v_outcome;
        END IF;
    END IF;
    IF v_spent IS NOT TRUE AND jsonb_typeof(p_request -> 'pinned') = 'object' THEN
        v_quote := p_request -> 'pinned';
    END IF;
    RETURN alittlebitofmoney.reserve('payment', alittlebitofmoney.owner_of(v_hash), p_request, v_quote, v_hash);
END
$$;

CREATE FUNCTION alittlebitofmoney.settled(p_hold alittlebitofmoney.holds) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_build_object(
        'outcome', 'settled',
        'charge_msat', p_hold.charge_msat,
        'shortfall_msat', p_hold.shortfall_msat,
        'balance_msat', p_hold.settled_balance_msat,
        'held_msat', p_hold.settled_held_msat
    )
$$;

-- Nobody has heard of this hold: its request is lost, or still on its way. Then it will find itself given up.
CREATE FUNCTION alittlebitofmoney.give_up(p_hold text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM alittlebitofmoney.lock_request(p_hold);
    IF EXISTS (SELECT FROM alittlebitofmoney.holds WHERE id = p_hold) THEN
        RETURN false;
    END IF;
    INSERT INTO alittlebitofmoney.holds_given_up (id, given_up_at_us) VALUES (p_hold, alittlebitofmoney.now_us())
    ON CONFLICT DO NOTHING;
    RETURN true;
END
$$;

-- Keep an answer for so long, in place of an older one of its name.
CREATE FUNCTION alittlebitofmoney.keep(
    p_kind text, p_digest bytea, p_name bytea, p_order_digest bytea, p_hold text, p_answer jsonb
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_now_us bigint := alittlebitofmoney.now_us();
BEGIN
    INSERT INTO alittlebitofmoney.kept_answers
        (owner_kind, owner_digest, name, order_digest, hold, sealed, kept_at_us, expires_at_us)
    VALUES (
        p_kind, p_digest, p_name, p_order_digest, p_hold, decode(p_answer ->> 'sealed', 'hex'),
        v_now_us, v_now_us + (p_answer ->> 'keep_us')::bigint
    )
    ON CONFLICT (owner_kind, owner_digest, name) DO UPDATE SET
        order_digest = EXCLUDED.order_digest, hold = EXCLUDED.hold, sealed = EXCLUDED.sealed,
        kept_at_us = EXCLUDED.kept_at_us, expires_at_us = EXCLUDED.expires_at_us;
END
$$;

-- End a live or lapsed hold whose account is locked. What a lapsed hold reserved went back to the account before: then
-- the charge takes what is free of it now, and the rest is written down as missing.
CREATE FUNCTION alittlebitofmoney.end_hold(
    p_hold alittlebitofmoney.holds, p_account alittlebitofmoney.accounts, p_settlement jsonb
) RETURNS alittlebitofmoney.holds LANGUAGE plpgsql AS $$
DECLARE
    v_asked_msat bigint := (p_settlement ->> 'charge_msat')::bigint;
    v_charge_msat bigint := v_asked_msat;
    v_release_msat bigint := p_hold.ceiling_msat;
BEGIN
    IF p_hold.lapsed_at_us IS NOT NULL THEN
        v_charge_msat := least(v_asked_msat, p_account.balance_msat - p_account.held_msat);
        v_release_msat := 0;
    END IF;
    UPDATE alittlebitofmoney.accounts
    SET balance_msat = balance_msat - v_charge_msat, held_msat = held_msat - v_release_msat
    WHERE id = p_hold.account;
    UPDATE alittlebitofmoney.holds SET
        ended_at_us = alittlebitofmoney.now_us(), ending = p_settlement ->> 'ending',
        charge_msat = v_charge_msat, shortfall_msat = v_asked_msat - v_charge_msat, usage = p_settlement ->> 'usage',
        upstream_cost_usd_picos = (p_settlement ->> 'upstream_cost_usd_picos')::bigint,
        clamped_msat = (p_settlement ->> 'clamped_msat')::bigint,
        loss_usd_picos = (p_settlement ->> 'loss_usd_picos')::bigint,
        settle_op_id = p_settlement ->> 'op_id',
        settled_balance_msat = p_account.balance_msat - v_charge_msat,
        settled_held_msat = p_account.held_msat - v_release_msat
    WHERE id = p_hold.id RETURNING * INTO p_hold;
    RETURN p_hold;
END
$$;

-- The entry of a charge. Being charged spends the payment's pinned price.
CREATE FUNCTION alittlebitofmoney.book_charge(p_hold alittlebitofmoney.holds) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF p_hold.charge_msat = 0 THEN
        RETURN;
    END IF;
    INSERT INTO alittlebitofmoney.entries (account, at_us, kind, amount_msat, balance_msat, hold) VALUES (
        p_hold.account, alittlebitofmoney.now_us(), 'charge', -p_hold.charge_msat, p_hold.settled_balance_msat,
        p_hold.id
    );
    IF p_hold.payment_hash IS NOT NULL THEN
        UPDATE alittlebitofmoney.credits SET quote_spent = true
        WHERE payment_hash = p_hold.payment_hash AND NOT quote_spent;
    END IF;
END
$$;

-- The hold with its account locked; NULLs if there is none, and then there will be none.
CREATE FUNCTION alittlebitofmoney.lock_hold(
    p_hold text, OUT o_hold alittlebitofmoney.holds, OUT o_account alittlebitofmoney.accounts
) LANGUAGE plpgsql AS $$
DECLARE
    v_account text;
BEGIN
    LOOP
        SELECT account INTO v_account FROM alittlebitofmoney.holds WHERE id = p_hold;
        EXIT WHEN FOUND;
        IF alittlebitofmoney.give_up(p_hold) THEN
            RETURN;
        END IF;
    END LOOP;
    o_account := alittlebitofmoney.lock_account(v_account);
    SELECT * INTO o_hold FROM alittlebitofmoney.holds WHERE id = p_hold;
END
$$;

CREATE FUNCTION public.alb_settle(p_settlement jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    v_account alittlebitofmoney.accounts;
    v_hold alittlebitofmoney.holds;
    v_locked record := alittlebitofmoney.lock_hold(p_settlement ->> 'hold_id');
BEGIN
    v_hold := v_locked.o_hold;
    v_account := v_locked.o_account;
    IF v_hold.id IS NULL THEN
        RETURN '{"outcome": "hold_unknown"}';
    ELSIF v_hold.settle_op_id = p_settlement ->> 'op_id' THEN
        RETURN alittlebitofmoney.settled(v_hold);
    ELSIF v_hold.settle_op_id IS NOT NULL THEN
        RETURN '{"outcome": "hold_ended"}';
    ELSIF (p_settlement ->> 'charge_msat')::bigint > v_hold.ceiling_msat THEN
        RETURN '{"outcome": "charge_above_ceiling"}';
    END IF;
    v_hold := alittlebitofmoney.end_hold(v_hold, v_account, p_settlement);
    IF jsonb_typeof(p_settlement -> 'answer') = 'object' THEN
        PERFORM alittlebitofmoney.keep(
            v_hold.owner_kind, v_hold.owner_digest, coalesce(v_hold.idempotency, v_hold.order_digest),
            v_hold.order_digest, v_hold.id, p_settlement -> 'answer'
        );
    END IF;
    PERFORM alittlebitofmoney.book_charge(v_hold);
    RETURN alittlebitofmoney.settled(v_hold);
END
$$;

-- Only a call that still runs can be left.
CREATE FUNCTION public.alb_note_left(p_hold text) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    UPDATE alittlebitofmoney.holds SET left_at_us = alittlebitofmoney.now_us()
    WHERE id = p_hold AND ended_at_us IS NULL AND left_at_us IS NULL;
    RETURN '{"outcome": "done"}';
END
$$;

CREATE FUNCTION public.alb_drop_answer(p_owner_kind text, p_owner_digest bytea, p_name bytea) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    DELETE FROM alittlebitofmoney.kept_answers
    WHERE owner_kind = p_owner_kind AND owner_digest = p_owner_digest AND name = p_name;
    RETURN '{"outcome": "done"}';
END
$$;

SELECT alittlebitofmoney.close_doors();
