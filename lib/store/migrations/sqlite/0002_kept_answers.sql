-- Answers kept for their owners, idempotency keys, and what becomes of payments after a backup was restored.

-- The digest of the client's Idempotency-Key.
ALTER TABLE holds ADD COLUMN idempotency BLOB CHECK (length(idempotency) = 32);
-- The buyer has left; upstream is read to its end all the same.
ALTER TABLE holds ADD COLUMN left_at_us INTEGER;

-- Few rows are ever in these two.
CREATE INDEX holds_left ON holds (owner_digest, order_digest) WHERE ended_at_us IS NULL AND left_at_us IS NOT NULL;
CREATE INDEX holds_running_by_key ON holds (owner_digest, idempotency)
WHERE ended_at_us IS NULL AND idempotency IS NOT NULL;

-- Nothing was ever written to the first one.
DROP TABLE kept_answers;

-- Complete answers that were not delivered, and what was first answered to an Idempotency-Key. Sealed under their
-- buyer's own secret: useless to who reads this file.
CREATE TABLE kept_answers (
    owner_kind TEXT NOT NULL CHECK (owner_kind IN ('token', 'payment')),
    owner_digest BLOB NOT NULL CHECK (length(owner_digest) = 32),
    -- The digest of the Idempotency-Key, or of the order where there was none.
    name BLOB NOT NULL,
    -- A key that comes with another order is refused.
    order_digest BLOB NOT NULL,
    -- The call that it answers. NULL: a claim or rotation.
    hold TEXT REFERENCES holds,
    sealed BLOB NOT NULL,
    -- What a claim or rotation found.
    balance_msat INTEGER,
    kept_at_us INTEGER NOT NULL,
    expires_at_us INTEGER NOT NULL,
    PRIMARY KEY (owner_kind, owner_digest, name),
    CHECK ((hold IS NULL) = (balance_msat IS NOT NULL))
) STRICT;

CREATE INDEX kept_answers_by_age ON kept_answers (expires_at_us);

-- How often an operator has taken this ledger into service after a backup was restored.
ALTER TABLE meta ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;
-- What was then chosen for payments quoted before credits_after_us.
ALTER TABLE meta ADD COLUMN restored TEXT CHECK (restored IN ('honour', 'review'));

-- Payments quoted before credits_after_us that were first presented after it.
CREATE TABLE reviews (
    payment_hash BLOB PRIMARY KEY CHECK (length(payment_hash) = 32),
    amount_msat INTEGER NOT NULL CHECK (amount_msat > 0),
    asked_at_us INTEGER NOT NULL,
    -- The operator lets it be credited.
    approved_at_us INTEGER
) STRICT;
