-- The ledger. Amounts are integer millisatoshi and end in _msat; dollars are 10^-12 USD and end in _usd_picos; a
-- bitcoin price is in 10^-6 USD; moments are microseconds since 1970 UTC and end in _us, always of this database's clock.
-- What must never happen is refused here, by constraints and triggers, so that no caller's mistake can do it.
--
-- Everything is in a schema of its own, which no API exposes. What may be called is in `public` and begins with `alb_`.

CREATE SCHEMA alittlebitofmoney;

-- Functions are executable by everybody unless somebody says otherwise, and Supabase grants whatever is made in
-- `public` to its anonymous role as well. So this role's defaults are taken back before the first function is made: no
-- later migration can open a door by forgetting to close it. PUBLIC's own right cannot be taken back in one schema
-- only, so that holds for all of this role's functions in this database, which is the ledger's own.
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

DO $$
DECLARE
    v_role text;
BEGIN
    FOR v_role IN SELECT rolname FROM pg_catalog.pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
        EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE ALL ON FUNCTIONS FROM %I', v_role);
        EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA alittlebitofmoney REVOKE ALL ON FUNCTIONS FROM %I', v_role);
        EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA alittlebitofmoney REVOKE ALL ON TABLES FROM %I', v_role);
        EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA alittlebitofmoney REVOKE ALL ON SEQUENCES FROM %I', v_role);
    END LOOP;
END
$$;

-- Every migration ends with this. Nobody but the owner reaches a table; `alb_` functions run with the owner's rights
-- and may be called by Supabase's secret key, and by whom the operator grants it.
CREATE FUNCTION alittlebitofmoney.close_doors() RETURNS void LANGUAGE plpgsql SET search_path = '' AS $$
DECLARE
    v_role text;
    v_function regprocedure;
    v_table regclass;
BEGIN
    FOR v_role IN SELECT 'PUBLIC' UNION ALL
        SELECT quote_ident(rolname) FROM pg_catalog.pg_roles
        WHERE rolname IN ('anon', 'authenticated', 'service_role')
    LOOP
        EXECUTE format('REVOKE ALL ON SCHEMA alittlebitofmoney FROM %s', v_role);
        EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA alittlebitofmoney FROM %s', v_role);
        EXECUTE format('REVOKE ALL ON ALL SEQUENCES IN SCHEMA alittlebitofmoney FROM %s', v_role);
        EXECUTE format('REVOKE ALL ON ALL FUNCTIONS IN SCHEMA alittlebitofmoney FROM %s', v_role);
        FOR v_function IN SELECT oid FROM pg_catalog.pg_proc
            WHERE pronamespace = 'public'::regnamespace AND starts_with(proname, 'alb_')
        LOOP
            EXECUTE format('REVOKE ALL ON FUNCTION %s FROM %s', v_function, v_role);
            IF v_role = 'service_role' THEN
                EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO service_role', v_function);
            END IF;
        END LOOP;
    END LOOP;
    FOR v_table IN SELECT oid FROM pg_catalog.pg_class
        WHERE relnamespace = 'alittlebitofmoney'::regnamespace AND relkind = 'r' AND NOT relrowsecurity
    LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', v_table);
    END LOOP;
END
$$;

-- The clock of all SQL here.
CREATE FUNCTION alittlebitofmoney.now_us() RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
$$;

-- Which migrations this database has.
CREATE TABLE alittlebitofmoney.migrations (
    number integer PRIMARY KEY CHECK (number > 0),
    name text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Who this ledger is. One row.
CREATE TABLE alittlebitofmoney.meta (
    one integer PRIMARY KEY DEFAULT 1 CHECK (one = 1),
    -- Part of every macaroon's key: an empty or foreign ledger honours nothing that it did not sell.
    ledger_id bytea NOT NULL CHECK (octet_length(ledger_id) = 16),
    created_at_us bigint NOT NULL,
    -- How often an operator has taken this ledger into service after a backup was restored.
    generation integer NOT NULL DEFAULT 0 CHECK (generation >= 0),
    -- After a restored backup: payments quoted before this moment may have been credited in the lost part …
    credits_after_us bigint,
    -- … and this is what was chosen for them.
    restored text CHECK (restored IN ('honour', 'review')),
    CHECK ((credits_after_us IS NULL) = (restored IS NULL))
);

INSERT INTO alittlebitofmoney.meta (ledger_id, created_at_us) VALUES (
    substr(sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())), 1, 16), alittlebitofmoney.now_us()
);

CREATE TABLE alittlebitofmoney.accounts (
    id text PRIMARY KEY,
    -- The sum of the account's entries. Kept here so that spending it is one look.
    balance_msat bigint NOT NULL DEFAULT 0 CHECK (balance_msat >= 0),
    -- The sum of the ceilings of its running calls.
    held_msat bigint NOT NULL DEFAULT 0 CHECK (held_msat >= 0),
    -- True exactly while the node denies one of its credits.
    frozen boolean NOT NULL DEFAULT false,
    opened_at_us bigint NOT NULL,
    CHECK (held_msat <= balance_msat)
-- Every call updates its account twice: room on the page for that, so that no index is touched.
) WITH (fillfactor = 70);

-- One row per Lightning payment, once per payment hash, for ever: the primary key is the promise.
CREATE TABLE alittlebitofmoney.credits (
    payment_hash bytea PRIMARY KEY CHECK (octet_length(payment_hash) = 32),
    kind text NOT NULL CHECK (kind IN ('call', 'topup', 'refill')),
    amount_msat bigint NOT NULL CHECK (amount_msat > 0),
    -- Where it was booked, for ever. Who may spend it is told by owners, not by this.
    account text NOT NULL REFERENCES alittlebitofmoney.accounts,
    -- The root key that signed its macaroon: an old key is retired only when nothing is owed under it.
    key_id text NOT NULL,
    credited_at_us bigint NOT NULL,
    -- The node itself said paid. NULL: credited on a preimage alone so far; a restart forgets none.
    confirmed_at_us bigint,
    -- What the node said had arrived; what exceeds amount_msat is booked as one 'over' entry when this is first set.
    received_msat bigint CHECK (received_msat >= 0),
    -- The node clearly said not paid. Taken back by a later yes.
    denied_at_us bigint,
    denied_reason text,
    -- An answer was paid for through this payment, so the price pinned in its macaroon has done its service.
    quote_spent boolean NOT NULL DEFAULT false,
    -- A claim by bare preimage is refused once the macaroon was presented anywhere.
    macaroon_used_at_us bigint,
    -- Credited and claimed are separate facts: the first claim after an automatic credit succeeds.
    claimed_by bytea CHECK (octet_length(claimed_by) = 32),
    claimed_at_us bigint,
    -- Claimed by bare preimage: the macaroon outranks that claim at its first use, which takes the mark away.
    claimed_bare boolean,
    -- In which order they came, where two moments are the same.
    turn bigint GENERATED ALWAYS AS IDENTITY,
    CHECK (received_msat IS NULL OR confirmed_at_us IS NOT NULL),
    CHECK (denied_at_us IS NULL OR confirmed_at_us IS NULL),
    CHECK ((denied_at_us IS NULL) = (denied_reason IS NULL)),
    CHECK ((claimed_by IS NULL) = (claimed_at_us IS NULL)),
    CHECK ((claimed_by IS NULL) = (claimed_bare IS NULL)),
    CHECK (claimed_bare IS NOT TRUE OR macaroon_used_at_us IS NULL)
);

CREATE INDEX credits_by_account ON alittlebitofmoney.credits (account);

-- Few rows are ever in these two: payments are confirmed seconds after their credit.
CREATE INDEX credits_in_doubt ON alittlebitofmoney.credits (credited_at_us, turn) INCLUDE (amount_msat)
WHERE confirmed_at_us IS NULL;
CREATE INDEX credits_in_doubt_by_account ON alittlebitofmoney.credits (account) WHERE confirmed_at_us IS NULL;
CREATE INDEX credits_confirmed ON alittlebitofmoney.credits (confirmed_at_us, turn) WHERE confirmed_at_us IS NOT NULL;

-- Which secrets may spend an account. Digests only, separated by kind. Claim, rotate and revoke replace rows.
CREATE TABLE alittlebitofmoney.owners (
    kind text NOT NULL CHECK (kind IN ('token', 'payment')),
    digest bytea NOT NULL CHECK (octet_length(digest) = 32),
    account text NOT NULL REFERENCES alittlebitofmoney.accounts,
    -- The payment whose credential this is.
    payment_hash bytea REFERENCES alittlebitofmoney.credits,
    created_at_us bigint NOT NULL,
    -- A claim may be repeated for another token until its token's first use.
    first_used_at_us bigint,
    PRIMARY KEY (kind, digest),
    CHECK ((kind = 'payment') = (payment_hash IS NOT NULL))
);

CREATE INDEX owners_by_account ON alittlebitofmoney.owners (account);
CREATE UNIQUE INDEX owners_one_token ON alittlebitofmoney.owners (account) WHERE kind = 'token';

CREATE FUNCTION alittlebitofmoney.refuse_company() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    IF EXISTS (
        SELECT FROM alittlebitofmoney.owners AS owner
        WHERE owner.account = NEW.account AND 'token' IN (owner.kind, NEW.kind)
    ) THEN
        RAISE integrity_constraint_violation USING MESSAGE = 'a token is the only owner of its account';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER owners_token_alone BEFORE INSERT ON alittlebitofmoney.owners
FOR EACH ROW EXECUTE FUNCTION alittlebitofmoney.refuse_company();

-- Every change of hands: what its op_id returns again, and the record of who took which account.
CREATE TABLE alittlebitofmoney.handovers (
    op_id text PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('claim', 'rotate', 'revoke')),
    account text NOT NULL REFERENCES alittlebitofmoney.accounts,
    -- The payment that a claim was made with.
    payment_hash bytea REFERENCES alittlebitofmoney.credits,
    at_us bigint NOT NULL,
    -- The account at that moment.
    balance_msat bigint NOT NULL,
    held_msat bigint NOT NULL,
    CHECK ((kind = 'claim') = (payment_hash IS NOT NULL)),
    CHECK (kind <> 'revoke' OR (balance_msat = 0 AND held_msat = 0))
);

-- Top-up and refill invoices, so that a payment is credited even if its payer never comes back. Calls write none.
CREATE TABLE alittlebitofmoney.topups (
    payment_hash bytea PRIMARY KEY CHECK (octet_length(payment_hash) = 32),
    kind text NOT NULL CHECK (kind IN ('topup', 'refill')),
    amount_msat bigint NOT NULL CHECK (amount_msat > 0),
    account text REFERENCES alittlebitofmoney.accounts,
    key_id text NOT NULL,
    opened_at_us bigint NOT NULL,
    expires_at_us bigint NOT NULL,
    -- Credited, or past its expiry and grace and unpaid by the node's word: nothing more to ask.
    closed_at_us bigint,
    turn bigint GENERATED ALWAYS AS IDENTITY,
    CHECK ((kind = 'refill') = (account IS NOT NULL))
);

CREATE INDEX topups_open ON alittlebitofmoney.topups (opened_at_us, turn) WHERE closed_at_us IS NULL;

-- Whatever the door.
CREATE FUNCTION alittlebitofmoney.close_credited_topup() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    UPDATE alittlebitofmoney.topups SET closed_at_us = NEW.credited_at_us
    WHERE payment_hash = NEW.payment_hash AND closed_at_us IS NULL;
    RETURN NULL;
END
$$;

CREATE TRIGGER topups_close AFTER INSERT ON alittlebitofmoney.credits
FOR EACH ROW EXECUTE FUNCTION alittlebitofmoney.close_credited_topup();

-- A process renews its lease as long as it lives; what it held goes back to the accounts when it stops doing so.
CREATE TABLE alittlebitofmoney.leases (
    id text PRIMARY KEY,
    taken_at_us bigint NOT NULL,
    renewed_at_us bigint NOT NULL,
    -- Given back or expired. It never comes back.
    ended_at_us bigint
);

CREATE INDEX leases_live ON alittlebitofmoney.leases (renewed_at_us) WHERE ended_at_us IS NULL;

-- One row per paid call. Live while ended_at_us is NULL; afterwards it is the record of how the call ended.
CREATE TABLE alittlebitofmoney.holds (
    -- The op_id of the request that made it: asking twice finds the first.
    id text PRIMARY KEY,
    account text NOT NULL REFERENCES alittlebitofmoney.accounts,
    -- Who asked. No foreign key: a call outlives the claim or rotation of its credential.
    owner_kind text NOT NULL CHECK (owner_kind IN ('token', 'payment')),
    owner_digest bytea NOT NULL CHECK (octet_length(owner_digest) = 32),
    -- The payment it was made through; being charged spends that payment's pinned price.
    payment_hash bytea REFERENCES alittlebitofmoney.credits,
    lease text NOT NULL REFERENCES alittlebitofmoney.leases,
    ceiling_msat bigint NOT NULL CHECK (ceiling_msat >= 0),
    btc_price_usd_micros bigint NOT NULL CHECK (btc_price_usd_micros > 0),
    order_digest bytea NOT NULL,
    -- The digest of the client's Idempotency-Key.
    idempotency bytea CHECK (octet_length(idempotency) = 32),
    request_id text NOT NULL,
    api text NOT NULL,
    path text NOT NULL,
    model text NOT NULL,
    opened_at_us bigint NOT NULL,
    -- The account right after this hold, returned again when the request is repeated.
    opened_balance_msat bigint NOT NULL,
    opened_held_msat bigint NOT NULL,
    -- The buyer has left; upstream is read to its end all the same.
    left_at_us bigint,
    ended_at_us bigint,
    -- Stays when a late settlement follows, and says that it was late.
    lapsed_at_us bigint,
    ending text,
    charge_msat bigint CHECK (charge_msat BETWEEN 0 AND ceiling_msat),
    -- What a late settlement could no longer debit.
    shortfall_msat bigint NOT NULL DEFAULT 0 CHECK (shortfall_msat >= 0),
    usage text,
    upstream_cost_usd_picos bigint CHECK (upstream_cost_usd_picos >= 0),
    clamped_msat bigint CHECK (clamped_msat >= 0),
    loss_usd_picos bigint CHECK (loss_usd_picos >= 0),
    -- The settlement that ended it. NULL after a mere lapse: one settlement may still come.
    settle_op_id text,
    -- The account right after the settlement, returned again when it is repeated.
    settled_balance_msat bigint,
    settled_held_msat bigint,
    CHECK ((ended_at_us IS NULL) = (ending IS NULL)),
    CHECK ((ended_at_us IS NULL) = (charge_msat IS NULL)),
    CHECK (ended_at_us IS NULL OR lapsed_at_us IS NOT NULL OR settle_op_id IS NOT NULL),
    CHECK (ended_at_us IS NOT NULL OR (lapsed_at_us IS NULL AND settle_op_id IS NULL)),
    CHECK (settle_op_id IS NOT NULL OR coalesce(charge_msat, 0) = 0),
    CHECK (shortfall_msat = 0 OR lapsed_at_us IS NOT NULL),
    CHECK ((settle_op_id IS NULL) = (settled_balance_msat IS NULL)),
    CHECK ((settle_op_id IS NULL) = (settled_held_msat IS NULL))
);

CREATE INDEX holds_live ON alittlebitofmoney.holds (lease) WHERE ended_at_us IS NULL;
CREATE INDEX holds_ended ON alittlebitofmoney.holds (ended_at_us) WHERE ended_at_us IS NOT NULL;
-- Few rows are ever in these two.
CREATE INDEX holds_left ON alittlebitofmoney.holds (owner_digest, order_digest)
WHERE ended_at_us IS NULL AND left_at_us IS NOT NULL;
CREATE INDEX holds_running_by_key ON alittlebitofmoney.holds (owner_digest, idempotency)
WHERE ended_at_us IS NULL AND idempotency IS NOT NULL;

-- Holds that their callers gave up without having heard of them. Should such a request still be on its way, it must not
-- reserve anything any more: nobody would ever end it.
CREATE TABLE alittlebitofmoney.holds_given_up (
    id text PRIMARY KEY,
    given_up_at_us bigint NOT NULL
);

CREATE INDEX holds_given_up_by_age ON alittlebitofmoney.holds_given_up (given_up_at_us);

CREATE FUNCTION alittlebitofmoney.refuse_change() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    RAISE integrity_constraint_violation USING MESSAGE = TG_ARGV[0];
END
$$;

CREATE TRIGGER holds_settle_once BEFORE UPDATE ON alittlebitofmoney.holds
FOR EACH ROW WHEN (OLD.settle_op_id IS NOT NULL)
EXECUTE FUNCTION alittlebitofmoney.refuse_change('a settled hold does not change');

-- The history. Append-only: the balance of an account is the sum of these and can always be recomputed.
CREATE TABLE alittlebitofmoney.entries (
    -- Per account it grows in the order of the entries, because they are written under the account's lock. Ids may be
    -- missing: an operation that was undone takes its number along.
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account text NOT NULL REFERENCES alittlebitofmoney.accounts,
    at_us bigint NOT NULL,
    kind text NOT NULL CHECK (kind IN ('credit', 'over', 'charge', 'adjust')),
    amount_msat bigint NOT NULL CHECK (amount_msat <> 0),
    -- The account's balance after this entry.
    balance_msat bigint NOT NULL CHECK (balance_msat >= 0),
    payment_hash bytea REFERENCES alittlebitofmoney.credits,
    hold text REFERENCES alittlebitofmoney.holds,
    -- Of an adjustment: who asked for it, and why.
    op_id text,
    reason text,
    CHECK ((kind IN ('credit', 'over')) = (payment_hash IS NOT NULL)),
    CHECK ((kind = 'charge') = (hold IS NOT NULL)),
    CHECK ((kind = 'adjust') = (op_id IS NOT NULL AND reason IS NOT NULL)),
    CHECK (kind = 'adjust' OR (amount_msat < 0) = (kind = 'charge'))
);

CREATE INDEX entries_by_account ON alittlebitofmoney.entries (account, id);
CREATE UNIQUE INDEX entries_once_per_payment ON alittlebitofmoney.entries (payment_hash, kind)
WHERE payment_hash IS NOT NULL;
CREATE UNIQUE INDEX entries_once_per_hold ON alittlebitofmoney.entries (hold) WHERE hold IS NOT NULL;
CREATE UNIQUE INDEX entries_once_per_adjustment ON alittlebitofmoney.entries (op_id) WHERE op_id IS NOT NULL;

CREATE FUNCTION alittlebitofmoney.refuse_another_balance() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    IF NEW.balance_msat <> (SELECT balance_msat FROM alittlebitofmoney.accounts WHERE id = NEW.account) THEN
        RAISE integrity_constraint_violation USING MESSAGE = 'an entry says the balance that its account has';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER entries_tell_the_balance BEFORE INSERT ON alittlebitofmoney.entries
FOR EACH ROW EXECUTE FUNCTION alittlebitofmoney.refuse_another_balance();

CREATE TRIGGER entries_never_change BEFORE UPDATE OR DELETE OR TRUNCATE ON alittlebitofmoney.entries
EXECUTE FUNCTION alittlebitofmoney.refuse_change('entries are append-only');

-- Complete answers that were not delivered, and what was first answered to an Idempotency-Key. Sealed under their
-- buyer's own secret: useless to who reads this database.
CREATE TABLE alittlebitofmoney.kept_answers (
    owner_kind text NOT NULL CHECK (owner_kind IN ('token', 'payment')),
    owner_digest bytea NOT NULL CHECK (octet_length(owner_digest) = 32),
    -- The digest of the Idempotency-Key, or of the order where there was none.
    name bytea NOT NULL,
    -- A key that comes with another order is refused.
    order_digest bytea NOT NULL,
    -- The call that it answers. NULL: a claim.
    hold text REFERENCES alittlebitofmoney.holds,
    sealed bytea NOT NULL,
    kept_at_us bigint NOT NULL,
    expires_at_us bigint NOT NULL,
    PRIMARY KEY (owner_kind, owner_digest, name)
);

CREATE INDEX kept_answers_by_age ON alittlebitofmoney.kept_answers (expires_at_us);

-- Payments quoted before credits_after_us that were first presented after it.
CREATE TABLE alittlebitofmoney.reviews (
    payment_hash bytea PRIMARY KEY CHECK (octet_length(payment_hash) = 32),
    amount_msat bigint NOT NULL CHECK (amount_msat > 0),
    asked_at_us bigint NOT NULL,
    -- The operator lets it be credited.
    approved_at_us bigint,
    turn bigint GENERATED ALWAYS AS IDENTITY
);

-- How many free requests came in which minute, by all processes together. Worth nothing after a crash, so it is not
-- logged. The key is a digest: no address is written down.
CREATE UNLOGGED TABLE alittlebitofmoney.free_requests (
    what bytea NOT NULL CHECK (octet_length(what) = 32),
    minute bigint NOT NULL,
    requests integer NOT NULL CHECK (requests > 0),
    PRIMARY KEY (what, minute)
) WITH (fillfactor = 50);

CREATE INDEX free_requests_by_age ON alittlebitofmoney.free_requests (minute);

SELECT alittlebitofmoney.close_doors();
