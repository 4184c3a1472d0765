-- Recompute the ledger from its entries and holds, trusting no sum that is stored. The same rules and sentences as for
-- the embedded ledger; those about its file have no counterpart. All of it is STABLE: its rules see one moment.

CREATE FUNCTION alittlebitofmoney.differences_of_accounts() RETURNS SETOF text LANGUAGE sql STABLE AS $$
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
    (SELECT format('account %s is marked frozen=%s, but has %s denied payments', account.id,
        account.frozen::integer, count(credit.payment_hash))
    FROM alittlebitofmoney.accounts AS account
    LEFT JOIN alittlebitofmoney.credits AS credit
        ON credit.account = account.id AND credit.denied_at_us IS NOT NULL
    GROUP BY account.id HAVING account.frozen <> (count(credit.payment_hash) > 0) LIMIT 1000)
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

CREATE FUNCTION alittlebitofmoney.differences_of_holds() RETURNS SETOF text LANGUAGE sql STABLE AS $$
    (SELECT format('hold %s was charged %s msat, but its entry says %s msat', hold.id,
        coalesce(hold.charge_msat, 0), coalesce(-entry.amount_msat, 0))
    FROM alittlebitofmoney.holds AS hold
    LEFT JOIN alittlebitofmoney.entries AS entry ON entry.hold = hold.id
    WHERE coalesce(hold.charge_msat, 0) <> coalesce(-entry.amount_msat, 0) LIMIT 1000)
    UNION ALL
    (SELECT format('hold %s belongs to account %s, but its charge is booked on account %s', hold.id,
        hold.account, entry.account)
    FROM alittlebitofmoney.entries AS entry JOIN alittlebitofmoney.holds AS hold ON hold.id = entry.hold
    WHERE hold.account <> entry.account LIMIT 1000)
    UNION ALL
    (SELECT format('hold %s was charged %s msat, outside of 0 to its ceiling of %s msat', id, charge_msat, ceiling_msat)
    FROM alittlebitofmoney.holds WHERE charge_msat NOT BETWEEN 0 AND ceiling_msat LIMIT 1000)
    UNION ALL
    (SELECT format('hold %s has lapsed and is live', id)
    FROM alittlebitofmoney.holds WHERE lapsed_at_us IS NOT NULL AND ended_at_us IS NULL LIMIT 1000)
    UNION ALL
    (SELECT format('hold %s is live, but its lease %s has ended', hold.id, hold.lease)
    FROM alittlebitofmoney.holds AS hold JOIN alittlebitofmoney.leases AS lease ON lease.id = hold.lease
    WHERE hold.ended_at_us IS NULL AND lease.ended_at_us IS NOT NULL LIMIT 1000)
$$;

CREATE FUNCTION alittlebitofmoney.differences_of_credits() RETURNS SETOF text LANGUAGE sql STABLE AS $$
    (SELECT format('payment %s was credited with %s msat, but its entries say %s msat',
        encode(credit.payment_hash, 'hex'), credit.amount_msat, coalesce(sum(entry.amount_msat), 0))
    FROM alittlebitofmoney.credits AS credit
    LEFT JOIN alittlebitofmoney.entries AS entry
        ON entry.payment_hash = credit.payment_hash AND entry.kind = 'credit'
    GROUP BY credit.payment_hash HAVING credit.amount_msat <> coalesce(sum(entry.amount_msat), 0) LIMIT 1000)
    UNION ALL
    (SELECT format('payment %s overpaid by %s msat, but its entries say %s msat',
        encode(credit.payment_hash, 'hex'), greatest(0, coalesce(credit.received_msat, 0) - credit.amount_msat),
        coalesce(sum(entry.amount_msat), 0))
    FROM alittlebitofmoney.credits AS credit
    LEFT JOIN alittlebitofmoney.entries AS entry
        ON entry.payment_hash = credit.payment_hash AND entry.kind = 'over'
    GROUP BY credit.payment_hash
    HAVING greatest(0, coalesce(credit.received_msat, 0) - credit.amount_msat) <> coalesce(sum(entry.amount_msat), 0)
    LIMIT 1000)
    UNION ALL
    (SELECT format('payment %s was credited to account %s, but entry %s books it on account %s',
        encode(credit.payment_hash, 'hex'), credit.account, entry.id, entry.account)
    FROM alittlebitofmoney.entries AS entry
    JOIN alittlebitofmoney.credits AS credit ON credit.payment_hash = entry.payment_hash
    WHERE entry.account <> credit.account LIMIT 1000)
    UNION ALL
    (SELECT format('payment %s was credited to account %s, but its credential owns account %s',
        encode(credit.payment_hash, 'hex'), credit.account, owner.account)
    FROM alittlebitofmoney.owners AS owner
    JOIN alittlebitofmoney.credits AS credit ON credit.payment_hash = owner.payment_hash
    WHERE owner.account <> credit.account LIMIT 1000)
    UNION ALL
    (SELECT format('payment %s is an orphan: account %s was credited with it, '
        'but its credential neither owns nor was claimed', encode(payment_hash, 'hex'), account)
    FROM alittlebitofmoney.credits AS credit
    WHERE kind <> 'refill' AND claimed_by IS NULL AND NOT EXISTS (
        SELECT FROM alittlebitofmoney.owners AS owner WHERE owner.payment_hash = credit.payment_hash
    ) LIMIT 1000)
    UNION ALL
    (SELECT format('payment %s is claimed, but its credential still owns account %s',
        encode(credit.payment_hash, 'hex'), owner.account)
    FROM alittlebitofmoney.owners AS owner
    JOIN alittlebitofmoney.credits AS credit ON credit.payment_hash = owner.payment_hash
    WHERE credit.claimed_by IS NOT NULL LIMIT 1000)
    UNION ALL
    (SELECT format('payment %s is credited, but its invoice is still open', encode(topup.payment_hash, 'hex'))
    FROM alittlebitofmoney.topups AS topup
    JOIN alittlebitofmoney.credits AS credit ON credit.payment_hash = topup.payment_hash
    WHERE topup.closed_at_us IS NULL LIMIT 1000)
$$;

-- Every foreign key, looked up again: rows may have come in while they were not enforced.
CREATE FUNCTION alittlebitofmoney.differences_of_references() RETURNS SETOF text LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_key record;
BEGIN
    FOR v_key IN
        SELECT con.conrelid::regclass AS child, con.confrelid::regclass AS parent, child_class.relname AS child_name,
            parent_class.relname AS parent_name, child_column.attname AS child_column,
            parent_column.attname AS parent_column
        FROM pg_catalog.pg_constraint AS con
        JOIN pg_catalog.pg_class AS child_class ON child_class.oid = con.conrelid
        JOIN pg_catalog.pg_class AS parent_class ON parent_class.oid = con.confrelid
        JOIN pg_catalog.pg_attribute AS child_column
            ON child_column.attrelid = con.conrelid AND child_column.attnum = con.conkey[1]
        JOIN pg_catalog.pg_attribute AS parent_column
            ON parent_column.attrelid = con.confrelid AND parent_column.attnum = con.confkey[1]
        WHERE con.contype = 'f' AND con.connamespace = 'alittlebitofmoney'::regnamespace
    LOOP
        RETURN QUERY EXECUTE format(
            'SELECT format(''table %%s has a row %%s that points to a row of %%s that is not there'', %L, '
            'child.ctid, %L) FROM %s AS child WHERE child.%I IS NOT NULL '
            'AND NOT EXISTS (SELECT FROM %s AS parent WHERE parent.%I = child.%I) LIMIT 1000',
            v_key.child_name, v_key.parent_name, v_key.child, v_key.child_column,
            v_key.parent, v_key.parent_column, v_key.child_column
        );
    END LOOP;
END
$$;

CREATE FUNCTION public.alb_audit() RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' SET statement_timeout = '10min' AS $$
    SELECT coalesce(jsonb_agg(sentence), '[]') FROM (
        SELECT * FROM alittlebitofmoney.differences_of_accounts()
        UNION ALL SELECT * FROM alittlebitofmoney.differences_of_holds()
        UNION ALL SELECT * FROM alittlebitofmoney.differences_of_credits()
        UNION ALL SELECT * FROM alittlebitofmoney.differences_of_references()
    ) AS found (sentence)
$$;

SELECT alittlebitofmoney.close_doors();
