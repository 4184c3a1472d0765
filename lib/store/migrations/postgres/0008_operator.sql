-- What an operator asks and decides while servers run. Rows stay when they have ended: they say what was stopped, when
-- and why.

-- Accounts stopped by hand. accounts.frozen is true while there is one, or while the node denies a payment.
CREATE TABLE alittlebitofmoney.freezes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account text NOT NULL REFERENCES alittlebitofmoney.accounts,
    reason text NOT NULL CHECK (btrim(reason) <> ''),
    at_us bigint NOT NULL,
    ended_at_us bigint
);

CREATE UNIQUE INDEX freezes_live ON alittlebitofmoney.freezes (account) WHERE ended_at_us IS NULL;
CREATE INDEX freezes_by_account ON alittlebitofmoney.freezes (account);

-- What is not sold for a while, in any process.
CREATE TABLE alittlebitofmoney.pauses (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    api text NOT NULL CHECK (api <> ''),
    -- Empty: nothing of the API.
    model text NOT NULL,
    reason text NOT NULL CHECK (btrim(reason) <> ''),
    at_us bigint NOT NULL,
    ended_at_us bigint
);

CREATE UNIQUE INDEX pauses_live ON alittlebitofmoney.pauses (api, model) WHERE ended_at_us IS NULL;

-- Of an account that is locked.
CREATE FUNCTION alittlebitofmoney.refresh_frozen(p_account text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_frozen boolean := EXISTS (
        SELECT FROM alittlebitofmoney.credits
        WHERE account = p_account AND confirmed_at_us IS NULL AND denied_at_us IS NOT NULL
    ) OR EXISTS (
        SELECT FROM alittlebitofmoney.freezes WHERE account = p_account AND ended_at_us IS NULL
    );
BEGIN
    UPDATE alittlebitofmoney.accounts SET frozen = v_frozen WHERE id = p_account AND frozen <> v_frozen;
END
$$;

-- The node said paid. Only its first word about how much arrived books an overpayment.
CREATE OR REPLACE FUNCTION alittlebitofmoney.say_yes(p_payment_hash bytea, p_received_msat bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_credit alittlebitofmoney.credits;
BEGIN
    PERFORM alittlebitofmoney.lock_account(account) FROM alittlebitofmoney.credits WHERE payment_hash = p_payment_hash;
    SELECT * INTO v_credit FROM alittlebitofmoney.credits WHERE payment_hash = p_payment_hash;
    IF v_credit.received_msat IS NOT NULL OR (p_received_msat IS NULL AND v_credit.confirmed_at_us IS NOT NULL) THEN
        RETURN;
    END IF;
    UPDATE alittlebitofmoney.credits SET
        confirmed_at_us = coalesce(confirmed_at_us, alittlebitofmoney.now_us()), received_msat = p_received_msat,
        denied_at_us = NULL, denied_reason = NULL
    WHERE payment_hash = p_payment_hash;
    PERFORM alittlebitofmoney.refresh_frozen(v_credit.account);
    IF p_received_msat > v_credit.amount_msat THEN
        PERFORM alittlebitofmoney.add_entry(
            v_credit.account, 'over', p_received_msat - v_credit.amount_msat, p_payment_hash
        );
        PERFORM alittlebitofmoney.own_again(p_payment_hash, v_credit.account);
    END IF;
END
$$;

CREATE FUNCTION public.alb_freeze(p_account text, p_reason text) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    v_account alittlebitofmoney.accounts := alittlebitofmoney.lock_account(p_account);
    v_changed boolean;
BEGIN
    IF v_account.id IS NULL THEN
        RETURN '{"outcome": "account_unknown"}';
    END IF;
    INSERT INTO alittlebitofmoney.freezes (account, reason, at_us)
    VALUES (p_account, p_reason, alittlebitofmoney.now_us()) ON CONFLICT DO NOTHING;
    v_changed := FOUND;
    PERFORM alittlebitofmoney.refresh_frozen(p_account);
    RETURN jsonb_build_object('outcome', 'done', 'changed', v_changed);
END
$$;

-- An account whose payment the node denies stays frozen.
CREATE FUNCTION public.alb_unfreeze(p_account text) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    v_account alittlebitofmoney.accounts := alittlebitofmoney.lock_account(p_account);
    v_changed boolean;
BEGIN
    IF v_account.id IS NULL THEN
        RETURN '{"outcome": "account_unknown"}';
    END IF;
    UPDATE alittlebitofmoney.freezes SET ended_at_us = alittlebitofmoney.now_us()
    WHERE account = p_account AND ended_at_us IS NULL;
    v_changed := FOUND;
    PERFORM alittlebitofmoney.refresh_frozen(p_account);
    RETURN jsonb_build_object('outcome', 'done', 'changed', v_changed);
END
$$;

-- A payment's credential cannot be taken away: it is proven by what its holder knows.
CREATE FUNCTION public.alb_revoke_account(p_op_id text, p_account text) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    v_account alittlebitofmoney.accounts := alittlebitofmoney.lock_account(p_account);
    v_first jsonb := alittlebitofmoney.first_handover(p_op_id, 'revoked');
BEGIN
    IF v_first IS NOT NULL THEN
        RETURN v_first;
    ELSIF v_account.id IS NULL THEN
        RETURN '{"outcome": "account_unknown"}';
    ELSIF NOT EXISTS (
        SELECT FROM alittlebitofmoney.owners WHERE account = p_account AND kind = 'token'
    ) THEN
        RETURN '{"outcome": "gone"}';
    ELSIF v_account.balance_msat > 0 OR v_account.held_msat > 0 THEN
        RETURN jsonb_build_object(
            'outcome', 'owed', 'balance_msat', v_account.balance_msat, 'held_msat', v_account.held_msat
        );
    END IF;
    PERFORM alittlebitofmoney.hand_over(p_op_id, 'revoke', p_account, NULL, NULL);
    RETURN '{"outcome": "revoked"}';
END
$$;

CREATE FUNCTION public.alb_pause(p_api text, p_model text, p_reason text) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    INSERT INTO alittlebitofmoney.pauses (api, model, reason, at_us)
    VALUES (p_api, p_model, p_reason, alittlebitofmoney.now_us()) ON CONFLICT DO NOTHING;
    RETURN jsonb_build_object('outcome', 'done', 'changed', FOUND);
END
$$;

CREATE FUNCTION public.alb_resume(p_api text, p_model text) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    UPDATE alittlebitofmoney.pauses SET ended_at_us = alittlebitofmoney.now_us()
    WHERE api = p_api AND model = p_model AND ended_at_us IS NULL;
    RETURN jsonb_build_object('outcome', 'done', 'changed', FOUND);
END
$$;

CREATE FUNCTION public.alb_pauses() RETURNS jsonb LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
    SELECT coalesce(jsonb_agg(to_jsonb(pause) ORDER BY pause.id), '[]')
    FROM alittlebitofmoney.pauses AS pause WHERE ended_at_us IS NULL
$$;

-- What calls that ended in a time brought, by day, endpoint and model. A charge in dollars is msat × micros ÷ 100,000
-- picos, rounded down; a call whose cost is unknown counts with the upper bound of its loss.
CREATE FUNCTION public.alb_earned(p_since_us bigint, p_until_us bigint) RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' SET statement_timeout = '10min' AS $$
    SELECT coalesce(jsonb_agg(to_jsonb(earning) ORDER BY day, api, path, model), '[]') FROM (
        SELECT ended_at_us / 86400000000 AS day, api, path, model, count(*) AS calls,
            sum(charge_msat) AS charged_msat,
            sum(div(charge_msat::numeric * btc_price_usd_micros, 100000)) AS charged_usd_picos,
            sum(coalesce(upstream_cost_usd_picos, loss_usd_picos, 0)) AS upstream_cost_usd_picos,
            count(*) FILTER (WHERE charge_msat > 0 AND upstream_cost_usd_picos IS NULL) AS unpriced,
            sum(coalesce(clamped_msat, 0)) AS clamped_msat,
            sum(shortfall_msat) AS shortfall_msat,
            sum(coalesce(loss_usd_picos, 0)) AS loss_usd_picos
        FROM alittlebitofmoney.holds WHERE ended_at_us >= p_since_us AND ended_at_us < p_until_us
        GROUP BY 1, 2, 3, 4
    ) AS earning
$$;

CREATE FUNCTION public.alb_payment(p_payment_hash bytea) RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
    SELECT jsonb_build_object(
        'topup', (
            SELECT to_jsonb(topup) FROM alittlebitofmoney.topups AS topup WHERE payment_hash = p_payment_hash
        ),
        'credit', (
            SELECT to_jsonb(credit) - 'claimed_by'
            FROM alittlebitofmoney.credits AS credit WHERE payment_hash = p_payment_hash
        ),
        'review', (
            SELECT to_jsonb(review) || jsonb_build_object('payment_hash', encode(payment_hash, 'hex'))
            FROM alittlebitofmoney.reviews AS review WHERE payment_hash = p_payment_hash
        )
    )
$$;

-- A hold without what proves anything: no digest.
CREATE FUNCTION alittlebitofmoney.call_of(p_hold alittlebitofmoney.holds) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT to_jsonb(p_hold) - '{owner_digest,order_digest,idempotency}'::text[] || jsonb_build_object(
        'payment_hash', encode(p_hold.payment_hash, 'hex'),
        'kept_until_us', (SELECT max(expires_at_us) FROM alittlebitofmoney.kept_answers WHERE hold = p_hold.id)
    )
$$;

-- These two read all holds: no call pays for an index that operators use now and then.
CREATE FUNCTION public.alb_calls(p_request_id text, p_limit integer) RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' SET statement_timeout = '10min' AS $$
    SELECT coalesce(jsonb_agg(alittlebitofmoney.call_of(hold) ORDER BY hold.opened_at_us DESC, hold.id), '[]') FROM (
        SELECT * FROM alittlebitofmoney.holds WHERE request_id = p_request_id
        ORDER BY opened_at_us DESC, id LIMIT p_limit
    ) AS hold
$$;

CREATE FUNCTION public.alb_calls_of(p_account text, p_limit integer) RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' SET statement_timeout = '10min' AS $$
    SELECT coalesce(jsonb_agg(alittlebitofmoney.call_of(hold) ORDER BY hold.opened_at_us DESC, hold.id), '[]') FROM (
        SELECT * FROM alittlebitofmoney.holds WHERE account = p_account
        ORDER BY opened_at_us DESC, id LIMIT p_limit
    ) AS hold
$$;

CREATE FUNCTION public.alb_account(p_account text) RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' SET statement_timeout = '10min' AS $$
    SELECT coalesce((
        SELECT to_jsonb(account) || jsonb_build_object(
            'outcome', 'account',
            'owners', (
                SELECT coalesce(jsonb_agg(jsonb_build_object(
                    'kind', kind, 'payment_hash', encode(payment_hash, 'hex'), 'created_at_us', created_at_us,
                    'first_used_at_us', first_used_at_us
                ) ORDER BY created_at_us, digest), '[]') FROM alittlebitofmoney.owners WHERE owners.account = p_account
            ),
            'payments', (
                SELECT coalesce(jsonb_agg(jsonb_build_object(
                    'payment_hash', encode(payment_hash, 'hex')
                ) ORDER BY credited_at_us, turn), '[]')
                FROM alittlebitofmoney.credits WHERE credits.account = p_account
            ),
            'denied', (
                SELECT count(*) FROM alittlebitofmoney.credits
                WHERE credits.account = p_account AND denied_at_us IS NOT NULL
            ),
            'handovers', (
                SELECT coalesce(jsonb_agg(jsonb_build_object(
                    'kind', kind, 'payment_hash', encode(payment_hash, 'hex'), 'at_us', at_us,
                    'balance_msat', balance_msat
                ) ORDER BY at_us), '[]') FROM alittlebitofmoney.handovers WHERE handovers.account = p_account
            ),
            'freezes', (
                SELECT coalesce(jsonb_agg(to_jsonb(stop) ORDER BY stop.id), '[]')
                FROM alittlebitofmoney.freezes AS stop WHERE stop.account = p_account
            ),
            'kept_answers', (
                SELECT count(*) FROM alittlebitofmoney.kept_answers AS kept
                JOIN alittlebitofmoney.holds AS hold ON hold.id = kept.hold WHERE hold.account = p_account
            )
        ) FROM alittlebitofmoney.accounts AS account WHERE account.id = p_account
    ), '{"outcome": "account_unknown"}')
$$;

-- Per root key, tokens last. Whoever may spend an account is owed all of it, so one with payments under two keys counts
-- under both.
CREATE FUNCTION public.alb_debts() RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' SET statement_timeout = '10min' AS $$
    WITH debts AS (
        SELECT DISTINCT credit.key_id, owner.account
        FROM alittlebitofmoney.owners AS owner
        LEFT JOIN alittlebitofmoney.credits AS credit ON credit.payment_hash = owner.payment_hash
    ), keys AS (
        SELECT key_id FROM debts UNION SELECT key_id FROM alittlebitofmoney.topups WHERE closed_at_us IS NULL
    ), sums AS (
        SELECT keys.key_id,
            (
                SELECT count(*) FROM debts JOIN alittlebitofmoney.accounts AS account ON account.id = debts.account
                WHERE debts.key_id IS NOT DISTINCT FROM keys.key_id AND account.balance_msat > 0
            ) AS accounts,
            (
                SELECT coalesce(sum(account.balance_msat), 0)
                FROM debts JOIN alittlebitofmoney.accounts AS account ON account.id = debts.account
                WHERE debts.key_id IS NOT DISTINCT FROM keys.key_id
            ) AS balance_msat,
            (
                SELECT coalesce(sum(amount_msat), 0) FROM alittlebitofmoney.topups AS topup
                WHERE topup.key_id IS NOT DISTINCT FROM keys.key_id AND topup.closed_at_us IS NULL
            ) AS open_invoices_msat
        FROM keys
    )
    SELECT coalesce(jsonb_agg(to_jsonb(sums) ORDER BY key_id NULLS LAST), '[]') FROM sums
$$;

CREATE OR REPLACE FUNCTION public.alb_totals() RETURNS jsonb
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
        'payments', (SELECT count(*) FROM alittlebitofmoney.credits),
        'kept_answers', (SELECT count(*) FROM alittlebitofmoney.kept_answers),
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

CREATE OR REPLACE FUNCTION alittlebitofmoney.differences_of_accounts() RETURNS SETOF text LANGUAGE sql STABLE AS $$
    (SELECT format('account %s has a balance of %s msat, but its entries sum up to %s msat', account.id,
        account.balance_msat, coalesce(sum(entry.amount_msat), 0))
    FROM alittlebitofmoney.accounts AS account
    LEFT JOIN alittlebitofmoney.entries AS entry ON entry.account = account.id
    GROUP BY account.id HAVING account.balance_msat <> coalesce(sum(entry.amount_msat), 0) LIMIT 1000)
    UNION ALL
    (SELECT format('entry %s of account %s says a balance of %s msat, but the entries up to it sum up to %s msat',
        id, account, balance_msat, summed)
    FROM (
        SELECT id, account, balance_msat, sum(amount_msat) OVER (PARTITION BY account ORDER BY id) AS summed
        FROM alittlebitofmoney.entries
    ) AS running WHERE balance_msat <> summed LIMIT 1000)
    UNION ALL
    (SELECT format('account %s has %s msat held, but its running calls hold %s msat', account.id,
        account.held_msat, coalesce(sum(hold.ceiling_msat), 0))
    FROM alittlebitofmoney.accounts AS account
    LEFT JOIN alittlebitofmoney.holds AS hold ON hold.account = account.id AND hold.ended_at_us IS NULL
    GROUP BY account.id HAVING account.held_msat <> coalesce(sum(hold.ceiling_msat), 0) LIMIT 1000)
    UNION ALL
    (SELECT format('account %s has a balance of %s msat of which %s msat are held: that is impossible', id,
        balance_msat, held_msat)
    FROM alittlebitofmoney.accounts
    WHERE balance_msat < 0 OR held_msat < 0 OR held_msat > balance_msat LIMIT 1000)
    UNION ALL
    (SELECT format('account %s is marked frozen=%s, but has %s denied payments and %s freezes of an operator',
        id, frozen::integer, denied, stopped)
    FROM (
        SELECT account.id, account.frozen,
            (
                SELECT count(*) FROM alittlebitofmoney.credits AS credit
                WHERE credit.account = account.id AND credit.denied_at_us IS NOT NULL
            ) AS denied,
            (
                SELECT count(*) FROM alittlebitofmoney.freezes AS stop
                WHERE stop.account = account.id AND stop.ended_at_us IS NULL
            ) AS stopped
        FROM alittlebitofmoney.accounts AS account
    ) AS marked WHERE frozen <> (denied > 0 OR stopped > 0) LIMIT 1000)
    UNION ALL
    (SELECT format('account %s has a balance of %s msat that nobody owns', id, balance_msat)
    FROM alittlebitofmoney.accounts AS account
    WHERE balance_msat > 0
        AND NOT EXISTS (SELECT FROM alittlebitofmoney.owners AS owner WHERE owner.account = account.id) LIMIT 1000)
    UNION ALL
    (SELECT format('account %s has a token and %s other owners', account, count(*) - 1)
    FROM alittlebitofmoney.owners
    GROUP BY account HAVING count(*) > 1 AND bool_or(kind = 'token') LIMIT 1000)
$$;

SELECT alittlebitofmoney.close_doors();
