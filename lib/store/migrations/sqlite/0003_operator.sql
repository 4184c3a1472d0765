-- What an operator decides while servers run. Rows stay when they have ended: they say what was stopped, when and why.

-- Accounts stopped by hand. accounts.frozen is 1 while there is one, or while the node denies a payment.
CREATE TABLE freezes (
    id INTEGER PRIMARY KEY,
    account TEXT NOT NULL REFERENCES accounts,
    reason TEXT NOT NULL CHECK (trim(reason) <> ''),
    at_us INTEGER NOT NULL,
    ended_at_us INTEGER
) STRICT;

CREATE UNIQUE INDEX freezes_live ON freezes (account) WHERE ended_at_us IS NULL;
CREATE INDEX freezes_by_account ON freezes (account);

-- What is not sold for a while, in any process.
CREATE TABLE pauses (
    id INTEGER PRIMARY KEY,
    api TEXT NOT NULL CHECK (api <> ''),
    -- Empty: nothing of the API.
    model TEXT NOT NULL,
    reason TEXT NOT NULL CHECK (trim(reason) <> ''),
    at_us INTEGER NOT NULL,
    ended_at_us INTEGER
) STRICT;

CREATE UNIQUE INDEX pauses_live ON pauses (api, model) WHERE ended_at_us IS NULL;
