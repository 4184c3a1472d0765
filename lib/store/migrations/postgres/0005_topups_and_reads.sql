-- Top-up and refill invoices, what becomes of payments after a restored backup, and what is read without changing it.
-- Reads are STABLE: all their parts see one moment.

-- Under the payment's lock: either this sees the credit, or the credit sees this row and closes it. Whoever asks for a
-- refill has the account's token in hand.
CREATE FUNCTION public.alb_open_topup(p_topup jsonb, p_expires_in_us bigint) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    v_hash bytea := alittlebitofmoney.hash_in(p_topup);
    v_account alittlebitofmoney.accounts;
    v_now_us bigint := alittlebitofmoney.now_us();
BEGIN
    PERFORM alittlebitofmoney.lock_payment(v_hash);
    IF p_topup ->> 'account' IS NOT NULL THEN
        v_account := alittlebitofmoney.lock_account(p_topup ->> 'account');
        IF v_account.id IS NULL THEN
            RETURN '{"outcome": "account_unknown"}';
        END IF;
        UPDATE alittlebitofmoney.owners SET first_used_at_us = v_now_us
        WHERE account = v_account.id AND kind = 'token' AND first_used_at_us IS NULL;
    END IF;
    INSERT INTO alittlebitofmoney.topups
        (payment_hash, kind, amount_msat, account, key_id, opened_at_us, expires_at_us, closed_at_us)
    VALUES (
        v_hash, p_topup ->> 'kind', (p_topup ->> 'amount_msat')::bigint, v_account.id, p_topup ->> 'key_id',
        v_now_us, v_now_us + p_expires_in_us,
        (SELECT credited_at_us FROM alittlebitofmoney.credits WHERE payment_hash = v_hash)
    ) ON CONFLICT DO NOTHING;
    RETURN '{"outcome": "done"}';
END
$$;

CREATE FUNCTION alittlebitofmoney.topup(p_topup alittlebitofmoney.topups) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_build_object(
        'payment_hash', encode(p_topup.payment_hash, 'hex'),
        'kind', p_topup.kind,
        'amount_msat', p_topup.amount_msat,
        'key_id', p_topup.key_id,
        'account', p_topup.account
    )
$$;

CREATE FUNCTION public.alb_open_topups(p_limit integer) RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
    SELECT coalesce(jsonb_agg(alittlebitofmoney.topup(topup) ORDER BY opened_at_us, turn), '[]') FROM (
        SELECT * FROM alittlebitofmoney.topups WHERE closed_at_us IS NULL ORDER BY opened_at_us, turn LIMIT p_limit
    ) AS topup
$$;

-- Only when no payment can be on its way any more.
CREATE FUNCTION public.alb_close_topup(p_payment_hash bytea, p_grace_us bigint) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    PERFORM FROM alittlebitofmoney.topups WHERE payment_hash = p_payment_hash;
    IF NOT FOUND THEN
        RETURN '{"outcome": "topup_unknown"}';
    END IF;
    UPDATE alittlebitofmoney.topups SET closed_at_us = alittlebitofmoney.now_us()
    WHERE payment_hash = p_payment_hash AND closed_at_us IS NULL
        AND expires_at_us < alittlebitofmoney.now_us() - p_grace_us;
    RETURN '{"outcome": "done"}';
END
$$;

-- However old it is.
CREATE FUNCTION public.alb_find_topup(p_payment_hash bytea) RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
    SELECT coalesce((
        SELECT alittlebitofmoney.topup(topup) || jsonb_build_object(
            'outcome', 'topup',
            'state', CASE
                WHEN credit.payment_hash IS NULL THEN 'open'
                WHEN credit.claimed_by IS NULL THEN 'credited'
                ELSE 'claimed'
            END,
            'expires_in_us', greatest(0, topup.expires_at_us - alittlebitofmoney.now_us())
        )
        FROM alittlebitofmoney.topups AS topup
        LEFT JOIN alittlebitofmoney.credits AS credit ON credit.payment_hash = topup.payment_hash
        WHERE topup.payment_hash = p_payment_hash
    ), '{"outcome": "topup_unknown"}')
$$;

-- What was written down is credited as the node says; its macaroon stays unused.
CREATE FUNCTION public.alb_credit_topup(p_payment_hash bytea, p_received_msat bigint, p_new_account text) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    v_payment jsonb;
BEGIN
    PERFORM alittlebitofmoney.lock_payment(p_payment_hash);
    SELECT alittlebitofmoney.topup(topup) || jsonb_build_object('confirmed', true, 'received_msat', p_received_msat)
    INTO v_payment FROM alittlebitofmoney.topups AS topup WHERE payment_hash = p_payment_hash;
    IF NOT FOUND THEN
        RETURN '{"outcome": "topup_unknown"}';
    END IF;
    RETURN coalesce(
        alittlebitofmoney.book(v_payment, p_new_account),
        alittlebitofmoney.balance_of(alittlebitofmoney.account_booked(p_payment_hash))
    );
END
$$;

CREATE FUNCTION public.alb_balance(p_owner_kind text, p_owner_digest bytea) RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
    SELECT coalesce(
        alittlebitofmoney.balance_of(alittlebitofmoney.account_owned_by(p_owner_kind, p_owner_digest)),
        '{"outcome": "gone"}'
    )
$$;

CREATE FUNCTION public.alb_position() RETURNS jsonb LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
    SELECT alittlebitofmoney.position()
$$;

-- For a server that cannot migrate by itself.
CREATE FUNCTION public.alb_schema() RETURNS jsonb LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
    SELECT jsonb_build_object('number', coalesce(max(number), 0)) FROM alittlebitofmoney.migrations
$$;

-- An operator takes a restored ledger into service: what was quoted before now is treated as chosen.
CREATE FUNCTION public.alb_accept_restored(p_choice text) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    UPDATE alittlebitofmoney.meta
    SET generation = generation + 1, credits_after_us = alittlebitofmoney.now_us(), restored = p_choice
    WHERE one = 1; -- Supabase's API refuses an UPDATE without a WHERE
    RETURN alittlebitofmoney.position();
END
$$;

CREATE FUNCTION public.alb_reviews(p_limit integer) RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
    SELECT coalesce(jsonb_agg(jsonb_build_object(
        'payment_hash', encode(payment_hash, 'hex'),
        'amount_msat', amount_msat,
        'asked_at_us', asked_at_us,
        'approved', approved_at_us IS NOT NULL
    ) ORDER BY asked_at_us, turn), '[]')
    FROM (SELECT * FROM alittlebitofmoney.reviews ORDER BY asked_at_us, turn LIMIT p_limit) AS review
$$;

CREATE FUNCTION public.alb_approve(p_payment_hash bytea) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    UPDATE alittlebitofmoney.reviews SET approved_at_us = coalesce(approved_at_us, alittlebitofmoney.now_us())
    WHERE payment_hash = p_payment_hash;
    RETURN jsonb_build_object('listed', FOUND);
END
$$;

-- Newest first, `p_before` exclusive.
CREATE FUNCTION public.alb_entries(p_account text, p_before bigint, p_limit integer) RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
    SELECT coalesce(jsonb_agg(jsonb_build_object(
        'id', entry.id, 'at_us', entry.at_us, 'kind', entry.kind, 'amount_msat', entry.amount_msat,
        'balance_msat', entry.balance_msat, 'payment_hash', encode(entry.payment_hash, 'hex'),
        'reason', entry.reason, 'ending', hold.ending, 'usage', hold.usage,
        'call', CASE WHEN hold.id IS NOT NULL THEN jsonb_build_object(
            'request_id', hold.request_id, 'api', hold.api, 'path', hold.path, 'model', hold.model,
            'order_digest', encode(hold.order_digest, 'hex')
        ) END
    ) ORDER BY entry.id DESC), '[]')
    FROM (
        SELECT * FROM alittlebitofmoney.entries
        WHERE account = p_account AND (p_before IS NULL OR id < p_before) ORDER BY id DESC LIMIT p_limit
    ) AS entry LEFT JOIN alittlebitofmoney.holds AS hold ON hold.id = entry.hold
$$;

-- Credits that the node has not confirmed, oldest first.
CREATE FUNCTION public.alb_in_doubt(p_limit integer) RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
    SELECT coalesce(jsonb_agg(jsonb_build_object(
        'payment_hash', encode(payment_hash, 'hex'), 'amount_msat', amount_msat, 'account', account,
        'credited_at_us', credited_at_us, 'denied', denied_at_us IS NOT NULL
    ) ORDER BY credited_at_us, turn), '[]')
    FROM (
        SELECT * FROM alittlebitofmoney.credits WHERE confirmed_at_us IS NULL
        ORDER BY credited_at_us, turn LIMIT p_limit
    ) AS credit
$$;

CREATE FUNCTION public.alb_newest_confirmed() RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
    SELECT jsonb_build_object('payment_hash', (
        SELECT encode(payment_hash, 'hex') FROM alittlebitofmoney.credits WHERE confirmed_at_us IS NOT NULL
        ORDER BY confirmed_at_us DESC, turn DESC LIMIT 1
    ))
$$;

-- How much of what the node denies was spent before the freeze.
CREATE FUNCTION alittlebitofmoney.denied_spent() RETURNS numeric LANGUAGE sql STABLE AS $$
    SELECT coalesce(sum(greatest(0, denied.msat - account.balance_msat)), 0)
    FROM alittlebitofmoney.accounts AS account JOIN (
        SELECT credit.account, sum(credit.amount_msat) AS msat FROM alittlebitofmoney.credits AS credit
        WHERE credit.confirmed_at_us IS NULL AND credit.denied_at_us IS NOT NULL GROUP BY credit.account
    ) AS denied ON denied.account = account.id
$$;

CREATE FUNCTION public.alb_totals() RETURNS jsonb
-- Supabase's API ends statements after seconds, but grants a function the time it asks for; so with all that scan.
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' SET statement_timeout = '10min' AS $$
    SELECT jsonb_build_object(
        'accounts', count(*),
        'balance_msat', coalesce(sum(balance_msat), 0),
        'held_msat', coalesce(sum(held_msat), 0),
        'ownerless_msat', (
            SELECT coalesce(sum(balance_msat), 0) FROM alittlebitofmoney.accounts AS account
            WHERE NOT EXISTS (SELECT FROM alittlebitofmoney.owners AS owner WHERE owner.account = account.id)
        ),
        'live_holds', (SELECT count(*) FROM alittlebitofmoney.holds WHERE ended_at_us IS NULL),
        'denied_spent_msat', alittlebitofmoney.denied_spent()
    ) || (
        SELECT jsonb_build_object(
            'credited_msat', coalesce(sum(amount_msat) FILTER (WHERE kind IN ('credit', 'over')), 0),
            'charged_msat', coalesce(-sum(amount_msat) FILTER (WHERE kind = 'charge'), 0),
            'adjusted_msat', coalesce(sum(amount_msat) FILTER (WHERE kind = 'adjust'), 0)
        ) FROM alittlebitofmoney.entries
    ) || (
        SELECT jsonb_build_object(
            'unconfirmed_msat', coalesce(sum(amount_msat) FILTER (WHERE denied_at_us IS NULL), 0),
            'denied_msat', coalesce(sum(amount_msat) FILTER (WHERE denied_at_us IS NOT NULL), 0)
        ) FROM alittlebitofmoney.credits WHERE confirmed_at_us IS NULL
    )
    FROM alittlebitofmoney.accounts
$$;

-- What calls that ended within so long cost, and each that nobody paid for in full. A call whose cost is unknown counts
-- with the upper bound of its loss.
CREATE FUNCTION public.alb_losses(p_within_us bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' SET statement_timeout = '10min' AS $$
DECLARE
    v_since_us bigint := alittlebitofmoney.now_us() - p_within_us;
BEGIN
    RETURN (
        SELECT jsonb_build_object(
            'upstream_cost_usd_picos', coalesce(sum(coalesce(upstream_cost_usd_picos, loss_usd_picos)), 0),
            'lost', coalesce(jsonb_agg(jsonb_build_object(
                'account', account, 'api', api, 'model', model, 'btc_price_usd_micros', btc_price_usd_micros,
                'clamped_msat', coalesce(clamped_msat, 0), 'loss_usd_picos', coalesce(loss_usd_picos, 0)
            )) FILTER (WHERE clamped_msat > 0 OR loss_usd_picos > 0), '[]')
        ) FROM alittlebitofmoney.holds WHERE ended_at_us >= v_since_us
    );
END
$$;

SELECT alittlebitofmoney.close_doors();
