import { useState } from "react";

import { Refused } from "../../shared/request";
import { Button, ButtonLink } from "../../shared/ui/Button";
import { Notice } from "../../shared/ui/Notice";
import { Bone } from "../../shared/ui/Bone";
import { SatsOwned } from "../../shared/ui/Sats";
import { type Balance, bearer, useBalance } from "../../shared/wallet/balance";
import { withChange } from "../../shared/wallet/funds";
import { authorizationOf } from "../../shared/wallet/payment";
import { TokenOnce } from "../../shared/wallet/TokenOnce";
import type { NewToken } from "../../shared/wallet/token";
import { forgetToken, openToken, useWallet } from "../../shared/wallet/wallet";
import { ChangePanel } from "./ChangePanel";
import { History } from "./History";
import { OpenToken } from "./OpenToken";
import { Spending } from "./Spending";
import { TokenActions } from "./TokenActions";

/** What a new token is shown for: it replaces the open one, or is the change of a payment. */
interface Made {
  readonly token: NewToken;
  readonly keeps: boolean;
  readonly onDone: () => void;
}

/** Balance, change, spending and history; opened by a token or by what a payment left. */
export function Account({ model }: { readonly model: string }) {
  const owned = useWallet();
  const { token } = owned;
  const { data: balance, error } = useBalance(token);
  const [made, setMade] = useState<Made | null>(null);
  const [change] = withChange(owned);
  const authorization =
    token !== null ? bearer(token) : change === undefined ? null : authorizationOf(change);

  if (made !== null) {
    return (
      <TokenOnce
        made={made.token}
        keeps={made.keeps}
        model={model}
        onDone={(keep) => {
          openToken(made.token.token, keep);
          made.onDone();
          setMade(null);
        }}
      />
    );
  }
  return (
    <div className="grid gap-10">
      {token === null ? null : <BalancePanel balance={balance ?? null} error={error} />}
      <ChangePanel
        hasToken={token !== null}
        onToken={(fresh, onDone) => setMade({ token: fresh, keeps: owned.keepsToken, onDone })}
      />
      {token === null ? <OpenToken /> : null}
      {authorization === null || isUnknown(error) ? null : (
        <>
          {token === null ? (
            <p className="-mb-6 text-note text-ink2">
              Spending and history are those of the payment with the most change.
            </p>
          ) : null}
          <Spending authorization={authorization} />
          <History authorization={authorization} />
        </>
      )}
      {token === null ? null : (
        <TokenActions
          token={token}
          onRotated={(fresh, keeps) => setMade({ token: fresh, keeps, onDone: () => undefined })}
        />
      )}
    </div>
  );
}

interface BalancePanelProps {
  readonly balance: Balance | null;
  readonly error: Error | null;
}

function BalancePanel({ balance, error }: BalancePanelProps) {
  if (isUnknown(error)) {
    return (
      <Notice
        look="bad"
        role="alert"
        title="This token is not known here"
        action={<Button onClick={forgetToken}>Forget it</Button>}
      >
        It was rotated or revoked, or belongs to another server.
      </Notice>
    );
  }
  if (balance === null && error !== null) {
    return (
      <Notice look="warn" title="The balance cannot be shown right now">
        {error.message} Nothing is lost by it; it is asked for again every half minute.
      </Notice>
    );
  }
  return (
    <section
      aria-label="Balance"
      className="flex flex-wrap items-end justify-between gap-x-8 gap-y-4 rounded-card border border-line bg-surface p-4 sm:p-5"
    >
      <div>
        <p className="text-note text-ink2">Balance</p>
        {balance === null ? (
          <Bone className="mt-1 h-9 w-40" />
        ) : (
          <p className="text-h1 font-semibold">
            <SatsOwned msat={balance.available_msat} />
          </p>
        )}
        <p className="min-h-5 text-note text-ink2">{balance === null ? null : <Held balance={balance} />}</p>
      </div>
      <ButtonLink to="/topup?refill" look="pay">
        Refill
      </ButtonLink>
    </section>
  );
}

function Held({ balance: { status, held_msat } }: { readonly balance: Balance }) {
  if (status === "frozen") return <>Frozen: the node says that a payment was never made. Ask the operator.</>;
  if (held_msat > 0) {
    return (
      <>
        <SatsOwned msat={held_msat} /> held by running calls
      </>
    );
  }
  return <>{status === "unconfirmed" ? "A payment is being confirmed with the node" : "Nothing is held"}</>;
}

function isUnknown(error: Error | null): boolean {
  return error instanceof Refused && error.status === 401;
}
