-- Payments into accounts.
--
-- Many processes at once. Whatever decides about an account first takes that account's row lock, and then looks with a
-- new statement: READ COMMITTED shows it all that was committed before. Locks are taken in this order, so that nobody
-- waits in a circle:
--   1. the request for a hold (an advisory lock on its op_id);
--   2. the payment (an advisory lock on its hash), by who may credit it;
--   3. the lease (its row);
--   4. trust in all (one advisory lock), by who credits on a preimage alone;
--   5. the account (its row); the one operation that takes several takes them in the order of their ids;
--   6. rows that belong to a locked account.
-- Functions in this schema are parts of the `alb_` functions and see their empty search path.

-- The first number of an advisory lock tells what it is about. Two payments or requests that share 32 bits only wait.
CREATE FUNCTION alittlebitofmoney.lock_request(p_op_id text) RETURNS void LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock(401, hashtext(p_op_id))
$$;

CREATE FUNCTION alittlebitofmoney.lock_payment(p_payment_hash bytea) RETURNS void LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock(402, ('x' || encode(substr(p_payment_hash, 1, 4), 'hex'))::bit(32)::integer)
$$;

CREATE FUNCTION alittlebitofmoney.lock_trust() RETURNS void LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock(403, 0)
$$;

CREATE FUNCTION alittlebitofmoney.lock_account(p_account text) RETURNS alittlebitofmoney.accounts
LANGUAGE plpgsql AS $$
DECLARE
    v_account alittlebitofmoney.accounts;
BEGIN
    SELECT * INTO v_account FROM alittlebitofmoney.accounts WHERE id = p_account FOR NO KEY UPDATE;
    RETURN v_account;
END
$$;

-- The account that the owner may spend, locked; NULLs if it owns none. Who owned it while we waited for the lock may
-- own nothing any more, so that is looked at again.
CREATE FUNCTION alittlebitofmoney.lock_owned(p_kind text, p_digest bytea) RETURNS alittlebitofmoney.accounts
LANGUAGE plpgsql AS $$
DECLARE
    v_account alittlebitofmoney.accounts;
BEGIN
    LOOP
        SELECT account.* INTO v_account
        FROM alittlebitofmoney.owners AS owner JOIN alittlebitofmoney.accounts AS account ON account.id = owner.account
        WHERE owner.kind = p_kind AND owner.digest = p_digest
        FOR NO KEY UPDATE OF account;
        IF NOT FOUND THEN
            RETURN NULL;
        END IF;
        PERFORM FROM alittlebitofmoney.owners
        WHERE kind = p_kind AND digest = p_digest AND account = v_account.id;
        IF FOUND THEN
            RETURN v_account;
        END IF;
    END LOOP;
END
$$;

-- The digest that `Owner.of_payment` gives, which tells an owner apart from a token with the same bytes.
CREATE FUNCTION alittlebitofmoney.owner_of(p_payment_hash bytea) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
    SELECT sha256('alittlebitofmoney/payment\000'::bytea || p_payment_hash)
$$;

CREATE FUNCTION alittlebitofmoney.owns(p_payment_hash bytea) RETURNS boolean LANGUAGE sql AS $$
    SELECT EXISTS (
        SELECT FROM alittlebitofmoney.owners
        WHERE kind = 'payment' AND digest = alittlebitofmoney.owner_of(p_payment_hash)
    )
$$;

CREATE FUNCTION alittlebitofmoney.is_owned(p_account text) RETURNS boolean LANGUAGE sql AS $$
    SELECT EXISTS (SELECT FROM alittlebitofmoney.owners WHERE account = p_account)
$$;

CREATE FUNCTION alittlebitofmoney.is_credited(p_payment_hash bytea) RETURNS boolean LANGUAGE sql AS $$
    SELECT EXISTS (SELECT FROM alittlebitofmoney.credits WHERE payment_hash = p_payment_hash)
$$;

CREATE FUNCTION alittlebitofmoney.hash_in(p_payment jsonb) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
    SELECT decode(p_payment ->> 'payment_hash', 'hex')
$$;

-- Let a credited payment's credential spend the account, which is locked.
CREATE FUNCTION alittlebitofmoney.add_owner(p_payment_hash bytea, p_account text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO alittlebitofmoney.owners (kind, digest, account, payment_hash, created_at_us) VALUES (
        'payment', alittlebitofmoney.owner_of(p_payment_hash), p_account, p_payment_hash, alittlebitofmoney.now_us()
    );
END
$$;

-- Book what a payment brought to an account, which is locked.
CREATE FUNCTION alittlebitofmoney.add_entry(p_account text, p_kind text, p_amount_msat bigint, p_payment_hash bytea)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_balance_msat bigint;
BEGIN
    UPDATE alittlebitofmoney.accounts SET balance_msat = balance_msat + p_amount_msat WHERE id = p_account
    RETURNING balance_msat INTO v_balance_msat;
    INSERT INTO alittlebitofmoney.entries (account, at_us, kind, amount_msat, balance_msat, payment_hash)
    VALUES (p_account, alittlebitofmoney.now_us(), p_kind, p_amount_msat, v_balance_msat, p_payment_hash);
END
$$;

-- The account that a first credit belongs to, locked; NULL if it must open its own. A refill of an account that nobody
-- owns any more would strand there: it opens its own as well.
CREATE FUNCTION alittlebitofmoney.lock_home(p_payment jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v_account alittlebitofmoney.accounts;
BEGIN
    IF p_payment ->> 'kind' = 'refill' THEN
        v_account := alittlebitofmoney.lock_account(p_payment ->> 'account');
        RETURN CASE WHEN alittlebitofmoney.is_owned(v_account.id) THEN v_account.id END;
    END IF;
    IF p_payment ->> 'carry' IS NULL THEN
        RETURN NULL;
    END IF;
    v_account := alittlebitofmoney.lock_owned(
        'payment', alittlebitofmoney.owner_of(decode(p_payment ->> 'carry', 'hex'))
    );
    RETURN v_account.id;
END
$$;

-- Denied credits count too: whoever meets a denial has reason to ask the node from then on.
CREATE FUNCTION alittlebitofmoney.is_too_much(p_amount_msat bigint, p_limits jsonb) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    IF p_amount_msat > (p_limits ->> 'per_payment_msat')::bigint THEN
        RETURN true;
    END IF;
    PERFORM alittlebitofmoney.lock_trust();
    RETURN p_amount_msat > (p_limits ->> 'in_all_msat')::bigint - (
        SELECT coalesce(sum(amount_msat), 0) FROM alittlebitofmoney.credits WHERE confirmed_at_us IS NULL
    );
END
$$;

-- A call's macaroon tells when it was quoted; a top-up was written down, unless its row was lost.
CREATE FUNCTION alittlebitofmoney.is_quoted_before(p_payment jsonb, p_after_us bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    IF p_payment ->> 'kind' = 'call' THEN
        RETURN coalesce((p_payment ->> 'quoted_at_us')::bigint < p_after_us, true);
    END IF;
    RETURN coalesce((
        SELECT opened_at_us < p_after_us FROM alittlebitofmoney.topups
        WHERE payment_hash = alittlebitofmoney.hash_in(p_payment)
    ), true);
END
$$;

-- Of a payment that was never credited here: whether an operator decides about it, who then finds it listed.
CREATE FUNCTION alittlebitofmoney.must_be_reviewed(p_payment jsonb) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_after_us bigint;
BEGIN
    SELECT credits_after_us INTO v_after_us FROM alittlebitofmoney.meta WHERE restored = 'review';
    IF NOT FOUND OR NOT alittlebitofmoney.is_quoted_before(p_payment, v_after_us) OR EXISTS (
        SELECT FROM alittlebitofmoney.reviews
        WHERE payment_hash = alittlebitofmoney.hash_in(p_payment) AND approved_at_us IS NOT NULL
    ) THEN
        RETURN false;
    END IF;
    INSERT INTO alittlebitofmoney.reviews (payment_hash, amount_msat, asked_at_us) VALUES (
        alittlebitofmoney.hash_in(p_payment), (p_payment ->> 'amount_msat')::bigint, alittlebitofmoney.now_us()
    ) ON CONFLICT DO NOTHING;
    RETURN true;
END
$$;

-- The first credit of a payment, which is locked.
CREATE FUNCTION alittlebitofmoney.add_credit(p_payment jsonb, p_new_account text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_hash bytea := alittlebitofmoney.hash_in(p_payment);
    v_home text := alittlebitofmoney.lock_home(p_payment);
    v_account text := coalesce(v_home, p_new_account);
    v_now_us bigint := alittlebitofmoney.now_us();
BEGIN
    IF v_home IS NULL THEN
        INSERT INTO alittlebitofmoney.accounts (id, opened_at_us) VALUES (v_account, v_now_us);
    END IF;
    INSERT INTO alittlebitofmoney.credits
        (payment_hash, kind, amount_msat, account, key_id, credited_at_us, confirmed_at_us)
    VALUES (
        v_hash, p_payment ->> 'kind', (p_payment ->> 'amount_msat')::bigint, v_account, p_payment ->> 'key_id',
        v_now_us, CASE WHEN (p_payment ->> 'confirmed')::boolean THEN v_now_us END
    );
    PERFORM alittlebitofmoney.add_entry(v_account, 'credit', (p_payment ->> 'amount_msat')::bigint, v_hash);
    IF v_home IS NULL OR p_payment ->> 'kind' <> 'refill' THEN
        PERFORM alittlebitofmoney.add_owner(v_hash, v_account);
    END IF;
    IF v_home IS NOT NULL AND p_payment ->> 'carry' IS NOT NULL THEN
        -- A carry is minted only for who proved the old credential: its bare preimage has lost its power by now.
        UPDATE alittlebitofmoney.credits SET macaroon_used_at_us = v_now_us
        WHERE payment_hash = decode(p_payment ->> 'carry', 'hex') AND macaroon_used_at_us IS NULL;
    END IF;
END
$$;

-- An overpayment told after its account was revoked would strand: its credential may spend and claim it.
CREATE FUNCTION alittlebitofmoney.own_again(p_payment_hash bytea, p_account text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF alittlebitofmoney.is_owned(p_account) THEN
        RETURN;
    END IF;
    PERFORM alittlebitofmoney.add_owner(p_payment_hash, p_account);
    UPDATE alittlebitofmoney.credits SET claimed_by = NULL, claimed_at_us = NULL, claimed_bare = NULL
    WHERE payment_hash = p_payment_hash;
END
$$;

-- The node said paid. Only its first word about how much arrived books an overpayment.
CREATE FUNCTION alittlebitofmoney.say_yes(p_payment_hash bytea, p_received_msat bigint) RETURNS void
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
    UPDATE alittlebitofmoney.accounts SET frozen = false
    WHERE id = v_credit.account AND frozen AND NOT EXISTS (
        SELECT FROM alittlebitofmoney.credits AS credit
        WHERE credit.account = v_credit.account AND credit.confirmed_at_us IS NULL AND credit.denied_at_us IS NOT NULL
    );
    IF p_received_msat > v_credit.amount_msat THEN
        PERFORM alittlebitofmoney.add_entry(
            v_credit.account, 'over', p_received_msat - v_credit.amount_msat, p_payment_hash
        );
        PERFORM alittlebitofmoney.own_again(p_payment_hash, v_credit.account);
    END IF;
END
$$;

-- Credit the payment, which is locked, unless that was done before, or is for an operator to decide. If the node said
-- yes to it, that is noted, whether the credit is new or not. NULL, or the outcome that says why not.
CREATE FUNCTION alittlebitofmoney.book(p_payment jsonb, p_new_account text) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    IF NOT alittlebitofmoney.is_credited(alittlebitofmoney.hash_in(p_payment)) THEN
        IF alittlebitofmoney.must_be_reviewed(p_payment) THEN
            RETURN '{"outcome": "under_review"}';
        END IF;
        PERFORM alittlebitofmoney.add_credit(p_payment, p_new_account);
    END IF;
    IF (p_payment ->> 'confirmed')::boolean THEN
        PERFORM alittlebitofmoney.say_yes(
            alittlebitofmoney.hash_in(p_payment), (p_payment ->> 'received_msat')::bigint
        );
    END IF;
    RETURN NULL;
END
$$;

-- The same for a payment whose preimage is all that is known of it: not too much of that before the node was asked.
CREATE FUNCTION alittlebitofmoney.book_on_trust(p_payment jsonb, p_limits jsonb, p_new_account text) RETURNS jsonb
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT (p_payment ->> 'confirmed')::boolean
        AND NOT alittlebitofmoney.is_credited(alittlebitofmoney.hash_in(p_payment))
        AND alittlebitofmoney.is_too_much((p_payment ->> 'amount_msat')::bigint, p_limits)
    THEN
        RETURN '{"outcome": "ask_node_first"}';
    END IF;
    RETURN alittlebitofmoney.book(p_payment, p_new_account);
END
$$;

-- The payment's macaroon was presented. The first time, it undoes a claim by the bare preimage.
CREATE FUNCTION alittlebitofmoney.note_macaroon(p_payment_hash bytea) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_credit alittlebitofmoney.credits;
BEGIN
    SELECT * INTO v_credit FROM alittlebitofmoney.credits WHERE payment_hash = p_payment_hash;
    IF v_credit.macaroon_used_at_us IS NOT NULL THEN
        RETURN;
    END IF;
    PERFORM alittlebitofmoney.lock_account(v_credit.account);
    SELECT * INTO v_credit FROM alittlebitofmoney.credits WHERE payment_hash = p_payment_hash;
    IF v_credit.macaroon_used_at_us IS NULL AND v_credit.claimed_bare THEN
        DELETE FROM alittlebitofmoney.owners WHERE account = v_credit.account;
        PERFORM alittlebitofmoney.add_owner(p_payment_hash, v_credit.account);
        UPDATE alittlebitofmoney.credits SET claimed_by = NULL, claimed_at_us = NULL, claimed_bare = NULL
        WHERE payment_hash = p_payment_hash;
    END IF;
    UPDATE alittlebitofmoney.credits SET macaroon_used_at_us = alittlebitofmoney.now_us()
    WHERE payment_hash = p_payment_hash AND macaroon_used_at_us IS NULL;
END
$$;

-- An account as its owner sees it; NULL without an account.
CREATE FUNCTION alittlebitofmoney.balance_of(p_account text) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object(
        'outcome', 'balance',
        'account', account.id,
        'status', CASE
            WHEN account.frozen THEN 'frozen'
            WHEN EXISTS (
                SELECT FROM alittlebitofmoney.credits AS credit
                WHERE credit.account = account.id AND credit.confirmed_at_us IS NULL
            ) THEN 'unconfirmed'
            ELSE 'active'
        END,
        'balance_msat', account.balance_msat,
        'held_msat', account.held_msat
    )
    FROM alittlebitofmoney.accounts AS account WHERE account.id = p_account
$$;

CREATE FUNCTION alittlebitofmoney.account_owned_by(p_kind text, p_digest bytea) RETURNS text LANGUAGE sql AS $$
    SELECT account FROM alittlebitofmoney.owners WHERE kind = p_kind AND digest = p_digest
$$;

CREATE FUNCTION alittlebitofmoney.account_booked(p_payment_hash bytea) RETURNS text LANGUAGE sql AS $$
    SELECT account FROM alittlebitofmoney.credits WHERE payment_hash = p_payment_hash
$$;

CREATE FUNCTION public.alb_credit(p_payment jsonb, p_limits jsonb, p_new_account text) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    v_hash bytea := alittlebitofmoney.hash_in(p_payment);
    v_refusal jsonb;
    v_account text;
BEGIN
    PERFORM alittlebitofmoney.lock_payment(v_hash);
    v_refusal := alittlebitofmoney.book_on_trust(p_payment, p_limits, p_new_account);
    IF v_refusal IS NOT NULL THEN
        RETURN v_refusal;
    END IF;
    PERFORM alittlebitofmoney.note_macaroon(v_hash);
    v_account := alittlebitofmoney.account_owned_by('payment', alittlebitofmoney.owner_of(v_hash));
    -- A refill owns nothing: its account is where it was booked.
    IF v_account IS NULL AND p_payment ->> 'kind' = 'refill' THEN
        v_account := alittlebitofmoney.account_booked(v_hash);
    END IF;
    RETURN coalesce(alittlebitofmoney.balance_of(v_account), '{"outcome": "gone"}');
END
$$;

CREATE FUNCTION public.alb_confirm(p_payment_hash bytea, p_received_msat bigint) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    IF NOT alittlebitofmoney.is_credited(p_payment_hash) THEN
        RETURN '{"outcome": "credit_unknown"}';
    END IF;
    PERFORM alittlebitofmoney.say_yes(p_payment_hash, p_received_msat);
    RETURN '{"outcome": "done"}';
END
$$;

-- A yes that the node once gave stands, because Lightning takes nothing back.
CREATE FUNCTION public.alb_deny(p_payment_hash bytea, p_reason text) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    v_account text := alittlebitofmoney.account_booked(p_payment_hash);
BEGIN
    IF v_account IS NULL THEN
        RETURN '{"outcome": "credit_unknown"}';
    END IF;
    PERFORM alittlebitofmoney.lock_account(v_account);
    UPDATE alittlebitofmoney.credits SET denied_at_us = alittlebitofmoney.now_us(), denied_reason = p_reason
    WHERE payment_hash = p_payment_hash AND confirmed_at_us IS NULL AND denied_at_us IS NULL;
    IF FOUND THEN
        UPDATE alittlebitofmoney.accounts SET frozen = true WHERE id = v_account;
    END IF;
    RETURN '{"outcome": "done"}';
END
$$;

-- An operator's entry. It never takes what is held, nor gives to an account that nobody owns.
CREATE FUNCTION public.alb_adjust(p_op_id text, p_account text, p_amount_msat bigint, p_reason text) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    v_account alittlebitofmoney.accounts := alittlebitofmoney.lock_account(p_account);
    v_balance_msat bigint;
BEGIN
    SELECT balance_msat INTO v_balance_msat FROM alittlebitofmoney.entries WHERE op_id = p_op_id;
    IF FOUND THEN
        RETURN jsonb_build_object('outcome', 'adjusted', 'balance_msat', v_balance_msat);
    ELSIF v_account.id IS NULL THEN
        RETURN '{"outcome": "account_unknown"}';
    ELSIF NOT alittlebitofmoney.is_owned(p_account) THEN
        RETURN '{"outcome": "gone"}';
    ELSIF v_account.balance_msat + p_amount_msat < v_account.held_msat THEN
        RETURN jsonb_build_object(
            'outcome', 'too_much', 'balance_msat', v_account.balance_msat, 'held_msat', v_account.held_msat
        );
    END IF;
    UPDATE alittlebitofmoney.accounts SET balance_msat = balance_msat + p_amount_msat WHERE id = p_account
    RETURNING balance_msat INTO v_balance_msat;
    INSERT INTO alittlebitofmoney.entries (account, at_us, kind, amount_msat, balance_msat, op_id, reason)
    VALUES (p_account, alittlebitofmoney.now_us(), 'adjust', p_amount_msat, v_balance_msat, p_op_id, p_reason);
    RETURN jsonb_build_object('outcome', 'adjusted', 'balance_msat', v_balance_msat);
END
$$;

SELECT alittlebitofmoney.close_doors();
