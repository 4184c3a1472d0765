import { useEffect, useEffectEvent } from "react";

import type { PayOutcome, PayWish } from "../../shared/payment";
import { Dialog } from "../../shared/ui/Dialog";
import { useCatalog } from "../../shared/useCatalog";
import type { Payment } from "../../shared/wallet/payment";
import { Amount } from "./Amount";
import { InvoiceView } from "./InvoiceView";
import { Expired, NotMade, Paid, Refusal, Sent, Used } from "./PayStates";
import { QrSkeleton } from "./Qr";
import { type Stage, statusText } from "./stage";
import { type PaymentProgress, usePayment } from "./usePayment";

/** How long "paid" stands before the dialog closes itself. */
const PAID_SHOWN_MS = 900;

interface PayDialogProps {
  readonly wish: PayWish;
  readonly open: boolean;
  /** The payment that was noticed here. Whatever becomes of it, this dialog says so and closes. */
  readonly paid: Payment | null;
  readonly onPaid: (payment: Payment) => void;
  readonly onClose: (outcome: PayOutcome) => void;
}

/** Asks for a payment and notices it. Closing it keeps the invoice: the header leads back to it. */
export default function PayDialog({ wish, open, paid, onPaid, onClose }: PayDialogProps) {
  const progress = usePayment(wish, onPaid);
  const stage = paid === null ? progress.stage : "paid";

  const closePaid = useEffectEvent((payment: Payment) => onClose({ is: "paid", payment }));
  useEffect(() => {
    if (paid === null) return undefined;
    const timer = setTimeout(() => closePaid(paid), PAID_SHOWN_MS);
    return () => clearTimeout(timer);
  }, [paid]);

  const finalFocus = paid === null ? undefined : wish.focusAfter;
  return (
    <Dialog
      open={open}
      onClose={() => onClose(paid === null ? { is: "closed" } : { is: "paid", payment: paid })}
      title={wish.title}
      about={wish.about}
      {...(finalFocus === undefined ? {} : { finalFocus })}
    >
      <p role="status" className="sr-only">
        {statusText(stage, progress.leftMs, wish.afterwards)}
      </p>
      <Body wish={wish} stage={stage} progress={progress} onAgain={() => onClose({ is: "again" })} />
    </Dialog>
  );
}

/** An offer made with a credential, or for a request that was not kept, can only be made again where it came from. */
function canRenew({ offer }: PayWish): boolean {
  if (offer === undefined) return true;
  return offer.carries === null && offer.kind !== "refill" && offer.request.body !== null;
}

interface BodyProps {
  readonly wish: PayWish;
  readonly stage: Stage;
  readonly progress: PaymentProgress;
  readonly onAgain: () => void;
}

function Body({ wish, stage, progress, onAgain }: BodyProps) {
  const { data: catalog } = useCatalog();
  const { payment, failure } = progress;
  const bitcoinUsd = catalog?.btc_price?.usd ?? null;
  const renew = canRenew(wish) ? progress.renew : onAgain;
  if (stage === "failed" && failure !== null) return <NotMade error={failure} onRetry={renew} />;
  if (payment === null) {
    return (
      <>
        {wish.expectedSats === undefined ? null : (
          <Amount sats={wish.expectedSats} kind="call" typicalMsat={null} bitcoinUsd={bitcoinUsd} />
        )}
        <QrSkeleton />
      </>
    );
  }
  const amount = (
    <Amount
      sats={payment.amountSats}
      kind={payment.kind}
      typicalMsat={payment.typicalMsat}
      bitcoinUsd={bitcoinUsd}
      {...(wish.reason === undefined ? {} : { reason: wish.reason })}
    />
  );
  switch (stage) {
    case "paid":
      return <Paid payment={payment} afterwards={wish.afterwards} />;
    case "used":
      return <Used payment={payment} />;
    case "expired":
      return <Expired progress={progress} onRenew={renew} />;
    case "sent":
      return <Sent amount={amount} progress={progress} onRenew={renew} />;
    case "refused":
      return <Refusal amount={amount} progress={progress} onRenew={renew} />;
    case "open":
    case "making":
    case "failed":
      return (
        <InvoiceView amount={amount} payment={payment} progress={progress} demo={catalog?.demo ?? false} />
      );
    default:
      return stage satisfies never;
  }
}
