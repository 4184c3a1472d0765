import { Link, useLocation } from "react-router";

import { useInvoice } from "../features/pay/invoice";
import { useKeptPayments } from "../features/pay/useKeptPayments";
import { usePaying } from "../shared/payment";
import { countdownText } from "../shared/time";
import { useSecond } from "../shared/useSecond";
import { unpaid, unused } from "../shared/wallet/funds";
import type { Payment } from "../shared/wallet/payment";
import { useWallet } from "../shared/wallet/wallet";

const ASK_EVERY_MS = 10_000;
const CHIP =
  "inline-flex min-h-9 items-center gap-2 rounded-control border border-line bg-surface px-2.5 text-note whitespace-nowrap hover:bg-sunken";

/** What was begun and not ended: sats that are paid and not used, else an invoice that can still be paid. */
export function PaymentsChip() {
  useKeptPayments();
  const owned = useWallet();
  const { pathname } = useLocation();
  const [paid] = unused(owned).filter(({ page }) => page !== pathname); // its own page speaks of it itself
  if (paid !== undefined) {
    return (
      <Link to={paid.page} className={CHIP}>
        <Dot />
        {paid.kind === "topup" ? "Get your token" : `${paid.amountSats} sats paid, not used`}
      </Link>
    );
  }
  const hasOpen = owned.payments.some(({ state, setAside }) => state === "open" && !setAside);
  return hasOpen ? <UnpaidChip /> : null;
}

function UnpaidChip() {
  const now = useSecond();
  const invoices = unpaid(useWallet(), now);
  const [newest] = invoices;
  if (newest === undefined) return null;
  return <OpenInvoice newest={newest} count={invoices.length} now={now} />;
}

interface OpenInvoiceProps {
  readonly newest: Payment;
  readonly count: number;
  readonly now: number;
}

function OpenInvoice({ newest, count, now }: OpenInvoiceProps) {
  const { reopen } = usePaying();
  useInvoice(newest, ASK_EVERY_MS);
  return (
    <button type="button" onClick={() => reopen(newest)} className={CHIP}>
      <Dot />
      <span>
        {count} unpaid<span className="sr-only sm:not-sr-only"> {count === 1 ? "invoice" : "invoices"}</span>
      </span>
      <span className="text-ink2 tabular-nums">{countdownText(newest.expiresAt - now)}</span>
    </button>
  );
}

function Dot() {
  return <span aria-hidden="true" className="size-2 rounded-full bg-accent" />;
}
