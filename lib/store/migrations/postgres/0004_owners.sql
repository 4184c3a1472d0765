-- Who may spend an account, and how it changes hands.

-- What the first operation with this op_id did; NULL if it handed nothing over.
CREATE FUNCTION alittlebitofmoney.first_handover(p_op_id text, p_outcome text) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object(
        'outcome', p_outcome, 'account', account, 'balance_msat', balance_msat, 'held_msat', held_msat
    ) FROM alittlebitofmoney.handovers WHERE op_id = p_op_id
$$;

-- Replace all owners of an account, which is locked, and write it down.
CREATE FUNCTION alittlebitofmoney.hand_over(
    p_op_id text, p_kind text, p_account text, p_token bytea, p_payment_hash bytea
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM alittlebitofmoney.owners WHERE account = p_account;
    IF p_token IS NOT NULL THEN
        INSERT INTO alittlebitofmoney.owners (kind, digest, account, created_at_us)
        VALUES ('token', p_token, p_account, alittlebitofmoney.now_us());
    END IF;
    INSERT INTO alittlebitofmoney.handovers (op_id, kind, account, payment_hash, at_us, balance_msat, held_msat)
    SELECT p_op_id, p_kind, id, p_payment_hash, alittlebitofmoney.now_us(), balance_msat, held_msat
    FROM alittlebitofmoney.accounts WHERE id = p_account;
END
$$;

-- A bare preimage claims written-down top-ups; a refill is claimed only where it had to open its own account.
CREATE FUNCTION alittlebitofmoney.is_claimable(p_payment jsonb, p_how text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_hash bytea := alittlebitofmoney.hash_in(p_payment);
BEGIN
    IF p_how = 'bare' THEN
        RETURN EXISTS (
            SELECT FROM alittlebitofmoney.topups
            WHERE payment_hash = v_hash AND kind = 'topup' AND amount_msat = (p_payment ->> 'amount_msat')::bigint
        );
    END IF;
    -- One statement: what owned a moment ago may be claimed by now, and is one of both at every moment.
    RETURN p_payment ->> 'kind' <> 'refill' OR EXISTS (
        SELECT FROM alittlebitofmoney.credits AS credit
        LEFT JOIN alittlebitofmoney.owners AS owner
            ON owner.kind = 'payment' AND owner.digest = alittlebitofmoney.owner_of(v_hash)
        WHERE credit.payment_hash = v_hash AND (credit.claimed_by IS NOT NULL OR owner.account IS NOT NULL)
    );
END
$$;

-- True while the token still owns its account and nobody has used it.
CREATE FUNCTION alittlebitofmoney.is_never_used(p_token bytea) RETURNS boolean LANGUAGE sql AS $$
    SELECT EXISTS (
        SELECT FROM alittlebitofmoney.owners WHERE kind = 'token' AND digest = p_token AND first_used_at_us IS NULL
    )
$$;

-- The account's credits that the node has not confirmed, oldest first; NULL if there are none.
CREATE FUNCTION alittlebitofmoney.doubts(p_account text) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_agg(encode(payment_hash, 'hex') ORDER BY credited_at_us, turn) FROM alittlebitofmoney.credits
    WHERE account = p_account AND confirmed_at_us IS NULL
$$;

-- Why a booked payment cannot be claimed now; NULL if it can. Its account is locked.
CREATE FUNCTION alittlebitofmoney.claim_refusal(
    p_credit alittlebitofmoney.credits, p_account alittlebitofmoney.accounts, p_how text
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_doubts jsonb := alittlebitofmoney.doubts(p_account.id);
BEGIN
    RETURN CASE
        WHEN p_how = 'bare' AND (p_credit.claimed_by IS NOT NULL OR p_credit.macaroon_used_at_us IS NOT NULL)
            THEN '{"outcome": "already_claimed"}'::jsonb
        WHEN p_credit.claimed_by IS NOT NULL AND NOT alittlebitofmoney.is_never_used(p_credit.claimed_by)
            THEN '{"outcome": "already_claimed"}'
        WHEN p_credit.claimed_by IS NULL AND NOT alittlebitofmoney.owns(p_credit.payment_hash)
            THEN '{"outcome": "gone"}'
        WHEN p_account.frozen THEN jsonb_build_object('outcome', 'frozen', 'account', p_account.id)
        WHEN v_doubts IS NOT NULL THEN jsonb_build_object('outcome', 'in_doubt', 'payment_hashes', v_doubts)
    END;
END
$$;

-- Every payment that owned the account, and every one that the dying token had been claimed with.
CREATE FUNCTION alittlebitofmoney.claim_payments(p_account text, p_token bytea, p_bare boolean) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE alittlebitofmoney.credits
    SET claimed_by = p_token, claimed_at_us = alittlebitofmoney.now_us(), claimed_bare = p_bare
    WHERE account = p_account AND (
        payment_hash IN (
            SELECT owner.payment_hash FROM alittlebitofmoney.owners AS owner
            WHERE owner.account = p_account AND owner.kind = 'payment'
        )
        OR claimed_by IN (
            SELECT owner.digest FROM alittlebitofmoney.owners AS owner
            WHERE owner.account = p_account AND owner.kind = 'token'
        )
    );
END
$$;

-- The token takes the account of a payment that is locked and booked, if this claim may have it.
CREATE FUNCTION alittlebitofmoney.take(p_op_id text, p_payment_hash bytea, p_token bytea, p_how text) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_account alittlebitofmoney.accounts;
    v_credit alittlebitofmoney.credits;
    v_refusal jsonb;
BEGIN
    v_account := alittlebitofmoney.lock_account(alittlebitofmoney.account_booked(p_payment_hash));
    SELECT * INTO v_credit FROM alittlebitofmoney.credits WHERE payment_hash = p_payment_hash;
    v_refusal := alittlebitofmoney.claim_refusal(v_credit, v_account, p_how);
    IF v_refusal IS NOT NULL THEN
        RETURN v_refusal;
    END IF;
    PERFORM alittlebitofmoney.claim_payments(v_account.id, p_token, p_how = 'bare');
    PERFORM alittlebitofmoney.hand_over(p_op_id, 'claim', v_account.id, p_token, p_payment_hash);
    RETURN alittlebitofmoney.first_handover(p_op_id, 'claimed');
END
$$;

-- What was answered to the same Idempotency-Key before; NULL if nothing is kept, or nothing is to be.
CREATE FUNCTION alittlebitofmoney.claim_kept(p_payment_hash bytea, p_keep jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT alittlebitofmoney.kept(
        'payment', alittlebitofmoney.owner_of(p_payment_hash),
        decode(p_keep ->> 'idempotency', 'hex'), decode(p_keep ->> 'order_digest', 'hex')
    )
$$;

-- Credit if first seen; then the token takes the account. The payment's lock is held throughout, so that of several
-- claims with one Idempotency-Key the first is heard by all.
CREATE FUNCTION public.alb_claim(
    p_op_id text, p_payment jsonb, p_token bytea, p_how text, p_keep jsonb, p_new_account text
) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    v_hash bytea := alittlebitofmoney.hash_in(p_payment);
    v_outcome jsonb;
BEGIN
    PERFORM alittlebitofmoney.lock_payment(v_hash);
    v_outcome := coalesce(
        alittlebitofmoney.first_handover(p_op_id, 'claimed'), alittlebitofmoney.claim_kept(v_hash, p_keep)
    );
    IF v_outcome IS NULL AND NOT alittlebitofmoney.is_claimable(p_payment, p_how) THEN
        v_outcome := '{"outcome": "not_claimable"}';
    END IF;
    v_outcome := coalesce(v_outcome, alittlebitofmoney.book(p_payment, p_new_account));
    IF v_outcome IS NOT NULL THEN
        RETURN v_outcome;
    END IF;
    IF p_how = 'macaroon' THEN
        PERFORM alittlebitofmoney.note_macaroon(v_hash);
    END IF;
    v_outcome := alittlebitofmoney.take(p_op_id, v_hash, p_token, p_how);
    IF v_outcome ->> 'outcome' = 'claimed' AND jsonb_typeof(p_keep) = 'object' THEN
        PERFORM alittlebitofmoney.keep(
            'payment', alittlebitofmoney.owner_of(v_hash), decode(p_keep ->> 'idempotency', 'hex'),
            decode(p_keep ->> 'order_digest', 'hex'), NULL, p_keep -> 'answer'
        );
    END IF;
    RETURN v_outcome;
END
$$;

-- The new token takes the account.
CREATE FUNCTION public.alb_rotate(p_op_id text, p_token bytea, p_new_token bytea) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    v_account alittlebitofmoney.accounts := alittlebitofmoney.lock_owned('token', p_token);
    v_first jsonb := alittlebitofmoney.first_handover(p_op_id, 'rotated');
BEGIN
    IF v_first IS NOT NULL THEN
        RETURN v_first;
    ELSIF v_account.id IS NULL THEN
        RETURN '{"outcome": "gone"}';
    END IF;
    PERFORM alittlebitofmoney.note_use('token', p_token);
    IF v_account.frozen THEN
        RETURN jsonb_build_object('outcome', 'frozen', 'account', v_account.id);
    END IF;
    PERFORM alittlebitofmoney.hand_over(p_op_id, 'rotate', v_account.id, p_new_token, NULL);
    RETURN alittlebitofmoney.first_handover(p_op_id, 'rotated');
END
$$;

-- Nobody takes the account, which must be empty.
CREATE FUNCTION public.alb_revoke(p_op_id text, p_token bytea) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    v_account alittlebitofmoney.accounts := alittlebitofmoney.lock_owned('token', p_token);
    v_first jsonb := alittlebitofmoney.first_handover(p_op_id, 'revoked');
BEGIN
    IF v_first IS NOT NULL THEN
        RETURN v_first;
    ELSIF v_account.id IS NULL THEN
        RETURN '{"outcome": "gone"}';
    END IF;
    PERFORM alittlebitofmoney.note_use('token', p_token);
    IF v_account.balance_msat > 0 OR v_account.held_msat > 0 THEN
        RETURN jsonb_build_object(
            'outcome', 'owed', 'balance_msat', v_account.balance_msat, 'held_msat', v_account.held_msat
        );
    END IF;
    PERFORM alittlebitofmoney.hand_over(p_op_id, 'revoke', v_account.id, NULL, NULL);
    RETURN '{"outcome": "revoked"}';
END
$$;

SELECT alittlebitofmoney.close_doors();
