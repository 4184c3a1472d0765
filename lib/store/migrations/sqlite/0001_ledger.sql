-- The ledger. Amounts are integer millisatoshi and end in _msat; dollars are 10^-12 USD and end in _usd_picos; a
-- bitcoin price is in 10^-6 USD; moments are microseconds since 1970 UTC and end in _us, always of this database's clock.
-- What must never happen is refused here, by constraints and triggers, so that no caller's mistake can do it.

-- Who this ledger is. One row.
CREATE TABLE meta (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    -- Part of every macaroon's key: an empty or foreign ledger honours nothing that it did not sell.
    ledger_id BLOB NOT NULL CHECK (length(ledger_id) = 16),
    created_at_us INTEGER NOT NULL,
    -- After a restored backup: payments quoted before this moment may have been credited in the lost part.
    credits_after_us INTEGER
) STRICT;

CREATE TABLE accounts (
    id TEXT PRIMARY KEY,
    -- The sum of the account's entries. Kept here so that spending it is one conditional UPDATE.
    balance_msat INTEGER NOT NULL DEFAULT 0 CHECK (balance_msat >= 0),
    -- The sum of the ceilings of its running calls.
    held_msat INTEGER NOT NULL DEFAULT 0 CHECK (held_msat >= 0),
    -- 1 exactly while the node denies one of its credits.
    frozen INTEGER NOT NULL DEFAULT 0 CHECK (frozen IN (0, 1)),
    opened_at_us INTEGER NOT NULL,
    CHECK (held_msat <= balance_msat)
) STRICT, WITHOUT ROWID;

-- One row per Lightning payment, once per payment hash, for ever: the primary key is the promise.
CREATE TABLE credits (
    payment_hash BLOB PRIMARY KEY CHECK (length(payment_hash) = 32),
    kind TEXT NOT NULL CHECK (kind IN ('call', 'topup', 'refill')),
    amount_msat INTEGER NOT NULL CHECK (amount_msat > 0),
    -- Where it was booked. Who may spend it is told by owners, not by this.
    account TEXT NOT NULL REFERENCES accounts,
    -- The root key that signed its macaroon: an old key is retired only when nothing is owed under it.
    key_id TEXT NOT NULL,
    credited_at_us INTEGER NOT NULL,
    -- The node itself said paid. NULL: credited on a preimage alone so far; a restart forgets none.
    confirmed_at_us INTEGER,
    -- What the node said had arrived; what exceeds amount_msat is booked as one 'over' entry when this is first set.
    received_msat INTEGER CHECK (received_msat >= 0),
    -- The node clearly said not paid. Taken back by a later yes.
    denied_at_us INTEGER,
    denied_reason TEXT,
    -- An answer was paid for through this payment, so the price pinned in its macaroon has done its service.
    quote_spent INTEGER NOT NULL DEFAULT 0 CHECK (quote_spent IN (0, 1)),
    -- A claim by bare preimage is refused once the macaroon was presented anywhere.
    macaroon_used_at_us INTEGER,
    -- Credited and claimed are separate facts: the first claim after an automatic credit succeeds.
    claimed_by BLOB CHECK (length(claimed_by) = 32),
    claimed_at_us INTEGER,
    -- Claimed by bare preimage: the macaroon outranks that claim at its first use, which takes the mark away.
    claimed_bare INTEGER CHECK (claimed_bare IN (0, 1)),
    CHECK (received_msat IS NULL OR confirmed_at_us IS NOT NULL),
    CHECK (denied_at_us IS NULL OR confirmed_at_us IS NULL),
    CHECK ((denied_at_us IS NULL) = (denied_reason IS NULL)),
    CHECK ((claimed_by IS NULL) = (claimed_at_us IS NULL)),
    CHECK ((claimed_by IS NULL) = (claimed_bare IS NULL)),
    CHECK (claimed_bare IS NOT 1 OR macaroon_used_at_us IS NULL)
) STRICT;

CREATE INDEX credits_by_account ON credits (account);

-- Few rows are ever in these two: payments are confirmed seconds after their credit.
CREATE INDEX credits_in_doubt ON credits (credited_at_us, amount_msat) WHERE confirmed_at_us IS NULL;
CREATE INDEX credits_in_doubt_by_account ON credits (account, denied_at_us) WHERE confirmed_at_us IS NULL;
CREATE INDEX credits_confirmed ON credits (confirmed_at_us) WHERE confirmed_at_us IS NOT NULL;

-- Which secrets may spend an account. Digests only, separated by kind. Claim, rotate and revoke replace rows.
CREATE TABLE owners (
    kind TEXT NOT NULL CHECK (kind IN ('token', 'payment')),
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    account TEXT NOT NULL REFERENCES accounts,
    -- The payment whose credential this is.
    payment_hash BLOB REFERENCES credits,
    created_at_us INTEGER NOT NULL,
    -- A claim may be repeated for another token until its token's first use.
    first_used_at_us INTEGER,
    PRIMARY KEY (kind, digest),
    CHECK ((kind = 'payment') = (payment_hash IS NOT NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX owners_by_account ON owners (account);

CREATE TRIGGER owners_token_alone BEFORE INSERT ON owners
WHEN EXISTS (SELECT 1 FROM owners WHERE account = NEW.account AND 'token' IN (kind, NEW.kind))
BEGIN
    SELECT RAISE(ABORT, 'a token is the only owner of its account');
END;

-- Every change of hands: what its op_id returns again, and the record of who took which account.
CREATE TABLE handovers (
    op_id TEXT PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('claim', 'rotate', 'revoke')),
    account TEXT NOT NULL REFERENCES accounts,
    -- The payment that a claim was made with.
    payment_hash BLOB REFERENCES credits,
    at_us INTEGER NOT NULL,
    -- The account at that moment.
    balance_msat INTEGER NOT NULL,
    held_msat INTEGER NOT NULL,
    CHECK ((kind = 'claim') = (payment_hash IS NOT NULL)),
    CHECK (kind <> 'revoke' OR (balance_msat = 0 AND held_msat = 0))
) STRICT, WITHOUT ROWID;

-- Top-up and refill invoices, so that a payment is credited even if its payer never comes back. Calls write none.
CREATE TABLE topups (
    payment_hash BLOB PRIMARY KEY CHECK (length(payment_hash) = 32),
    kind TEXT NOT NULL CHECK (kind IN ('topup', 'refill')),
    amount_msat INTEGER NOT NULL CHECK (amount_msat > 0),
    account TEXT REFERENCES accounts,
    key_id TEXT NOT NULL,
    opened_at_us INTEGER NOT NULL,
    expires_at_us INTEGER NOT NULL,
    -- Credited, or past its expiry and grace and unpaid by the node's word: nothing more to ask.
    closed_at_us INTEGER,
    CHECK ((kind = 'refill') = (account IS NOT NULL))
) STRICT;

CREATE INDEX topups_open ON topups (opened_at_us) WHERE closed_at_us IS NULL;

-- Whatever the door.
CREATE TRIGGER topups_close AFTER INSERT ON credits
BEGIN
    UPDATE topups SET closed_at_us = NEW.credited_at_us WHERE payment_hash = NEW.payment_hash AND closed_at_us IS NULL;
END;

-- A process renews its lease as long as it lives; what it held goes back to the accounts when it stops doing so.
CREATE TABLE leases (
    id TEXT PRIMARY KEY,
    taken_at_us INTEGER NOT NULL,
    renewed_at_us INTEGER NOT NULL,
    -- Given back or expired. It never comes back.
    ended_at_us INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX leases_live ON leases (renewed_at_us) WHERE ended_at_us IS NULL;

-- One row per paid call. Live while ended_at_us is NULL; afterwards it is the record of how the call ended.
CREATE TABLE holds (
    -- The op_id of the request that made it: asking twice finds the first.
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL REFERENCES accounts,
    -- Who asked. No foreign key: a call outlives the claim or rotation of its credential.
    owner_kind TEXT NOT NULL CHECK (owner_kind IN ('token', 'payment')),
    owner_digest BLOB NOT NULL CHECK (length(owner_digest) = 32),
    -- The payment it was made through; being charged spends that payment's pinned price.
    payment_hash BLOB REFERENCES credits,
    lease TEXT NOT NULL REFERENCES leases,
    ceiling_msat INTEGER NOT NULL CHECK (ceiling_msat >= 0),
    btc_price_usd_micros INTEGER NOT NULL CHECK (btc_price_usd_micros > 0),
    order_digest BLOB NOT NULL,
    request_id TEXT NOT NULL,
    api TEXT NOT NULL,
    path TEXT NOT NULL,
    model TEXT NOT NULL,
    opened_at_us INTEGER NOT NULL,
    -- The account right after this hold, returned again when the request is repeated.
    opened_balance_msat INTEGER NOT NULL,
    opened_held_msat INTEGER NOT NULL,
    ended_at_us INTEGER,
    -- Stays when a late settlement follows, and says that it was late.
    lapsed_at_us INTEGER,
    ending TEXT,
    charge_msat INTEGER CHECK (charge_msat BETWEEN 0 AND ceiling_msat),
    -- What a late settlement could no longer debit.
    shortfall_msat INTEGER NOT NULL DEFAULT 0 CHECK (shortfall_msat >= 0),
    usage TEXT,
    upstream_cost_usd_picos INTEGER CHECK (upstream_cost_usd_picos >= 0),
    clamped_msat INTEGER CHECK (clamped_msat >= 0),
    loss_usd_picos INTEGER CHECK (loss_usd_picos >= 0),
    -- The settlement that ended it. NULL after a mere lapse: one settlement may still come.
    settle_op_id TEXT,
    -- The account right after the settlement, returned again when it is repeated.
    settled_balance_msat INTEGER,
    settled_held_msat INTEGER,
    CHECK ((ended_at_us IS NULL) = (ending IS NULL)),
    CHECK ((ended_at_us IS NULL) = (charge_msat IS NULL)),
    CHECK (ended_at_us IS NULL OR lapsed_at_us IS NOT NULL OR settle_op_id IS NOT NULL),
    CHECK (ended_at_us IS NOT NULL OR (lapsed_at_us IS NULL AND settle_op_id IS NULL)),
    CHECK (settle_op_id IS NOT NULL OR coalesce(charge_msat, 0) = 0),
    CHECK (shortfall_msat = 0 OR lapsed_at_us IS NOT NULL),
    CHECK ((settle_op_id IS NULL) = (settled_balance_msat IS NULL)),
    CHECK ((settle_op_id IS NULL) = (settled_held_msat IS NULL))
) STRICT;

CREATE INDEX holds_live ON holds (lease) WHERE ended_at_us IS NULL;
CREATE INDEX holds_ended ON holds (ended_at_us) WHERE ended_at_us IS NOT NULL;

CREATE TRIGGER holds_settle_once BEFORE UPDATE ON holds WHEN OLD.settle_op_id IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'a settled hold does not change');
END;

-- The history. Append-only: the balance of an account is the sum of these and can always be recomputed.
CREATE TABLE entries (
    -- AUTOINCREMENT: an id is never given twice, so the highest one tells whether a ledger went back in time.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL REFERENCES accounts,
    at_us INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('credit', 'over', 'charge', 'adjust')),
    amount_msat INTEGER NOT NULL CHECK (amount_msat <> 0),
    -- The account's balance after this entry.
    balance_msat INTEGER NOT NULL CHECK (balance_msat >= 0),
    payment_hash BLOB REFERENCES credits,
    hold TEXT REFERENCES holds,
    -- Of an adjustment: who asked for it, and why.
    op_id TEXT,
    reason TEXT,
    CHECK ((kind IN ('credit', 'over')) = (payment_hash IS NOT NULL)),
    CHECK ((kind = 'charge') = (hold IS NOT NULL)),
    CHECK ((kind = 'adjust') = (op_id IS NOT NULL AND reason IS NOT NULL)),
    CHECK (kind = 'adjust' OR (amount_msat < 0) = (kind = 'charge'))
) STRICT;

CREATE INDEX entries_by_account ON entries (account, id);
CREATE UNIQUE INDEX entries_once_per_payment ON entries (payment_hash, kind) WHERE payment_hash IS NOT NULL;
CREATE UNIQUE INDEX entries_once_per_hold ON entries (hold) WHERE hold IS NOT NULL;
CREATE UNIQUE INDEX entries_once_per_adjustment ON entries (op_id) WHERE op_id IS NOT NULL;

CREATE TRIGGER entries_tell_the_balance BEFORE INSERT ON entries
WHEN NEW.balance_msat <> (SELECT balance_msat FROM accounts WHERE id = NEW.account)
BEGIN
    SELECT RAISE(ABORT, 'an entry says the balance that its account has');
END;

CREATE TRIGGER entries_never_change BEFORE UPDATE ON entries
BEGIN
    SELECT RAISE(ABORT, 'entries are append-only');
END;

CREATE TRIGGER entries_never_go BEFORE DELETE ON entries
BEGIN
    SELECT RAISE(ABORT, 'entries are append-only');
END;

-- Answers that were complete but not delivered, sealed under their buyer's own secret: useless to who reads this file.
CREATE TABLE kept_answers (
    owner_kind TEXT NOT NULL CHECK (owner_kind IN ('token', 'payment')),
    owner_digest BLOB NOT NULL CHECK (length(owner_digest) = 32),
    order_digest BLOB NOT NULL,
    hold TEXT NOT NULL REFERENCES holds,
    sealed BLOB NOT NULL,
    kept_at_us INTEGER NOT NULL,
    expires_at_us INTEGER NOT NULL,
    PRIMARY KEY (owner_kind, owner_digest, order_digest)
) STRICT;

CREATE INDEX kept_answers_by_age ON kept_answers (expires_at_us);
