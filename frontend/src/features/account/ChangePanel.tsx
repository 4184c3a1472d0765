import { useState } from "react";

import { grouped } from "../../shared/money";
import { clockText } from "../../shared/time";
import { Button } from "../../shared/ui/Button";
import { Notice } from "../../shared/ui/Notice";
import { SatsOwned } from "../../shared/ui/Sats";
import { useChangeBalance } from "../../shared/wallet/balance";
import { changeMsat, leftMsat, withChange } from "../../shared/wallet/funds";
import type { Payment } from "../../shared/wallet/payment";
import { type NewToken, claimToken } from "../../shared/wallet/token";
import { dropPayments, useWallet } from "../../shared/wallet/wallet";

interface ChangePanelProps {
  readonly hasToken: boolean;
  /** A token was made of change; `onDone` is called when the visitor has it. */
  readonly onToken: (token: NewToken, onDone: () => void) => void;
}

/** What calls that were paid one by one have left, and how to make a token of it. */
export function ChangePanel({ hasToken, onToken }: ChangePanelProps) {
  const owned = useWallet();
  useChangeBalance();
  const [error, setError] = useState<string | null>(null);
  const payments = withChange(owned);
  if (payments.length === 0) return null;

  async function collect(payment: Payment) {
    setError(null);
    try {
      const made = await claimToken(payment);
      onToken(made, () => dropPayments([payment.hash]));
    } catch (failure) {
      setError(failure instanceof Error ? failure.message : "The token was not made.");
    }
  }

  return (
    <section aria-labelledby="change-title" className="grid gap-3">
      <div>
        <h2 id="change-title" className="text-h2 font-semibold">
          Change
        </h2>
        <p className="text-control text-ink2">
          <SatsOwned msat={changeMsat(owned)} /> on{" "}
          {payments.length === 1 ? "one payment" : `${grouped(String(payments.length))} payments`} in this
          browser. The next call you pay for here uses them first.
        </p>
      </div>
      {error === null ? null : (
        <Notice look="bad" role="alert" title="No token was made. The change is still here">
          {error}
        </Notice>
      )}
      <ul className="rounded-card border border-line bg-surface">
        {payments.map((payment) => (
          <li
            key={payment.hash}
            className="flex flex-wrap items-center justify-between gap-x-6 gap-y-2 border-b border-line px-4 py-3 last:border-b-0"
          >
            <span className="min-w-0 text-note">
              <span className="block font-medium wrap-anywhere">{payment.title}</span>
              <span className="text-ink2">
                {grouped(String(payment.amountSats))} sats paid at {clockText(payment.madeAt)}
              </span>
            </span>
            <span className="flex items-center gap-4">
              <span className="text-control font-medium">
                {payment.state === "used" && payment.balanceMsat === null ? (
                  "not known yet"
                ) : (
                  <SatsOwned msat={leftMsat(payment)} />
                )}
              </span>
              <Button onClick={() => void collect(payment)}>
                Collect<span className="sr-only"> the change of {payment.title}</span>
              </Button>
            </span>
          </li>
        ))}
      </ul>
      <p className="text-note text-ink2">
        Collecting makes a token of what is left{hasToken ? ", apart from the one that is open" : ""}.
      </p>
    </section>
  );
}
