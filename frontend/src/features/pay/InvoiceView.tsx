import { type ReactNode, useRef, useState } from "react";

import { ServerUnreachable } from "../../shared/api";
import { countdownText } from "../../shared/time";
import { Button } from "../../shared/ui/Button";
import { CopyTextButton } from "../../shared/ui/CopyButton";
import type { Payment } from "../../shared/wallet/payment";
import { ConnectWallet } from "./ConnectWallet";
import { Qr } from "./Qr";
import type { PaymentProgress } from "./usePayment";
import { hasBrowserWallet, payByBrowserWallet, payByDemoWallet } from "./wallets";

interface InvoiceViewProps {
  readonly amount: ReactNode;
  readonly payment: Payment;
  readonly progress: PaymentProgress;
  readonly demo: boolean;
}

/** The invoice, and every way to pay it. */
export function InvoiceView({ amount, payment, progress, demo }: InvoiceViewProps) {
  const [connecting, setConnecting] = useState(false);
  const { payWith } = progress;
  if (connecting) {
    return (
      <ConnectWallet
        amount={amount}
        onPay={(pay) => payWith("your wallet", pay)}
        onBack={() => setConnecting(false)}
      />
    );
  }
  return (
    <div className="grid gap-3">
      {amount}
      <Qr bolt11={payment.bolt11} sats={payment.amountSats} />
      <Bolt11 text={payment.bolt11} />
      <div className="grid gap-2">
        {demo ? (
          <Button look="pay" onClick={() => payWith("the demo wallet", payByDemoWallet)}>
            Pay with the demo wallet
          </Button>
        ) : null}
        {hasBrowserWallet() ? (
          <Button
            look={demo ? "quiet" : "pay"}
            onClick={() => payWith("your browser's wallet", payByBrowserWallet)}
          >
            Pay with your browser’s wallet
          </Button>
        ) : null}
        <div className="grid grid-cols-2 gap-2">
          <a
            href={`lightning:${payment.bolt11}`}
            className="inline-flex min-h-11 items-center justify-center rounded-control border border-edge bg-surface px-2 text-control font-medium hover:bg-sunken"
          >
            Open a wallet
          </a>
          <CopyInvoice text={payment.bolt11} />
        </div>
        <Button look="plain" onClick={() => setConnecting(true)} className="min-h-9">
          Connect a wallet by its link
        </Button>
      </div>
      <Waiting progress={progress} />
    </div>
  );
}

function CopyInvoice({ text }: { readonly text: string }) {
  return <CopyTextButton name="invoice" text={text} source={useRef(null)} className="px-2" />;
}

/** The beginning and the end; all of it on request. */
function Bolt11({ text }: { readonly text: string }) {
  return (
    <details className="group min-w-0 text-center">
      <summary className="inline-flex min-h-6 cursor-pointer list-none items-center gap-2 font-mono text-meta text-ink2 [&::-webkit-details-marker]:hidden">
        <span className="group-open:sr-only">
          {text.slice(0, 12)} … {text.slice(-7)}
        </span>
        <span className="font-sans underline underline-offset-4 group-open:hidden">Show all</span>
        <span className="hidden font-sans underline underline-offset-4 group-open:inline">Show less</span>
      </summary>
      <p className="mt-1 max-h-24 overflow-y-auto rounded-control bg-sunken p-2 text-left font-mono text-meta wrap-anywhere">
        {text}
      </p>
    </details>
  );
}

/** That it is waited for, and how long still. What is in the way of asking is said here too. */
export function Waiting({ progress }: { readonly progress: PaymentProgress }) {
  const { leftMs, trouble } = progress;
  const isLate = leftMs <= 60_000;
  return (
    <div className="flex items-center justify-between gap-4 border-t border-line pt-3 text-note text-ink2">
      <span className="flex items-center gap-2">
        <span
          aria-hidden="true"
          className={`size-2 shrink-0 rounded-full ${trouble === null ? "bg-accent" : "bg-warn"}`}
        />
        {troubleText(trouble) ?? "Waiting for payment"}
      </span>
      <span
        role="timer"
        aria-live="off"
        aria-label="Time left to pay"
        className={`tabular-nums ${isLate ? "text-warn" : ""}`}
      >
        {countdownText(leftMs)}
      </span>
    </div>
  );
}

function troubleText(trouble: Error | null): string | null {
  if (trouble === null) return null;
  if (trouble instanceof ServerUnreachable) return "You are offline. The invoice stays valid";
  return "The node does not answer. Still asking";
}
