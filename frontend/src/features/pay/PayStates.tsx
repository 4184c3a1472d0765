import type { ReactNode } from "react";
import { Check } from "lucide-react";
import { Link } from "react-router";

import { ServerUnreachable } from "../../shared/api";
import { Refused } from "../../shared/request";
import { clockText } from "../../shared/time";
import { Button } from "../../shared/ui/Button";
import { SatsPrice } from "../../shared/ui/Sats";
import { useSecond } from "../../shared/useSecond";
import type { Payment } from "../../shared/wallet/payment";
import { LATE_MS } from "./invoice";
import { Waiting } from "./InvoiceView";
import type { PaymentProgress } from "./usePayment";

const SLOW_WALLET_MS = 10_000;
const NODE_CODES = new Set(["phoenix_unavailable", "ledger_unavailable", "ledger_restored"]);

interface SayingProps {
  readonly title: string;
  readonly children: ReactNode;
  readonly actions?: ReactNode;
  readonly alert?: boolean;
}

/** What happened to the money, why, and what to do. */
function Saying({ title, children, actions, alert = false }: SayingProps) {
  return (
    <div className="grid gap-4 pt-1">
      <div {...(alert ? { role: "alert" } : {})}>
        <p className="text-control font-semibold">{title}</p>
        <p className="mt-1 text-note text-ink2">{children}</p>
      </div>
      {actions === undefined ? null : <div className="grid gap-2">{actions}</div>}
    </div>
  );
}

/** No invoice came. */
export function NotMade({ error, onRetry }: { readonly error: Error; readonly onRetry: () => void }) {
  const retry = (
    <Button look="pay" onClick={onRetry}>
      Try again
    </Button>
  );
  if (error instanceof Refused && NODE_CODES.has(error.code)) {
    return (
      <Saying alert title="Payments are paused. No invoice was made" actions={retry}>
        {error.message} Balances that are paid already still work.
      </Saying>
    );
  }
  if (error instanceof ServerUnreachable) {
    return (
      <Saying alert title="You are offline. No invoice was made" actions={retry}>
        The server was not reached. Nothing was charged.
      </Saying>
    );
  }
  return (
    <Saying alert title="No invoice was made. Nothing was charged" actions={retry}>
      {error.message} {error instanceof Refused ? error.nextAction : ""}
      <RequestId error={error} />
    </Saying>
  );
}

function RequestId({ error }: { readonly error: Error }) {
  if (!(error instanceof Refused) || error.requestId === null) return null;
  return (
    <span className="mt-2 block font-mono text-meta wrap-anywhere">
      {error.code} · {error.requestId}
    </span>
  );
}

interface StageProps {
  readonly progress: PaymentProgress;
  readonly onRenew: () => void;
}

/** A wallet has it. The code is hidden: paid twice, the second payment could be stolen on its way. */
export function Sent({ amount, progress, onRenew }: StageProps & { readonly amount: ReactNode }) {
  const now = useSecond();
  const { attempt } = progress;
  const isSlow = attempt === null || now - attempt.at >= SLOW_WALLET_MS;
  return (
    <div className="grid gap-4">
      {amount}
      <Saying
        title={isSlow ? "Your wallet has not answered" : `Waiting for ${attempt.wallet}`}
        actions={<Button onClick={onRenew}>{isSlow ? "Make a new invoice" : "Pay another way"}</Button>}
      >
        {isSlow
          ? "It may still pay this invoice, so do not pay it elsewhere. With a new invoice, should this one be paid too, its sats are yours as change."
          : "It may ask you to confirm."}
      </Saying>
      <Waiting progress={progress} />
    </div>
  );
}

/** A wallet said no. */
export function Refusal({ amount, progress, onRenew }: StageProps & { readonly amount: ReactNode }) {
  return (
    <div className="grid gap-4">
      {amount}
      <Saying
        alert
        title="The wallet did not pay"
        actions={
          <Button look="pay" onClick={onRenew}>
            Pay another way
          </Button>
        }
      >
        “{progress.attempt?.refusal}” Paying another way makes a new invoice, so that none is paid twice.
      </Saying>
      <Waiting progress={progress} />
    </div>
  );
}

/** Its time is over. A payment on its way is still looked for. */
export function Expired({ progress, onRenew }: StageProps) {
  const isChecking = progress.leftMs > -LATE_MS;
  return (
    <Saying
      alert
      title="The invoice has expired. Nothing was charged"
      actions={
        <>
          <Button look="pay" onClick={onRenew}>
            New invoice
          </Button>
          <Button onClick={progress.check}>I have paid: check again</Button>
        </>
      }
    >
      {isChecking
        ? "If you have already paid, wait: the node is still being asked."
        : "The node says that nobody has paid it. If your wallet says otherwise, check again."}
    </Saying>
  );
}

export function Paid({ payment, afterwards }: { readonly payment: Payment; readonly afterwards: string }) {
  return (
    <div className="grid min-h-48 content-center justify-items-center gap-3 text-center">
      <span className="grid size-12 place-items-center rounded-full bg-oksoft text-ok">
        <Check aria-hidden="true" className="size-6" />
      </span>
      <p className="text-title font-semibold">
        <SatsPrice msat={payment.amountSats * 1_000} /> received
      </p>
      <p className="text-note text-ink2">{afterwards}</p>
    </div>
  );
}

/** An invoice whose call has run, in this tab or in another. */
export function Used({ payment }: { readonly payment: Payment }) {
  const at = payment.usedAt === null ? "" : ` at ${clockText(payment.usedAt)}`;
  return (
    <Saying title={`This payment was used${at}`}>
      What was left on it pays for your next calls here.{" "}
      <Link to={payment.page} className="underline underline-offset-4">
        Back to its page
      </Link>
    </Saying>
  );
}
