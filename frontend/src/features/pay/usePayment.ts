import { useEffect, useEffectEvent, useRef, useState } from "react";

import type { PayWish } from "../../shared/payment";
import { useSecond } from "../../shared/useSecond";
import type { Payment } from "../../shared/wallet/payment";
import { changePayment, keepPayment, useWallet } from "../../shared/wallet/wallet";
import { makeInvoice, settle, useInvoice } from "./invoice";
import { type Attempt, type Stage, stageOf } from "./stage";
import { type PayBy, wordsOf } from "./wallets";

export interface PaymentProgress {
  readonly stage: Stage;
  readonly payment: Payment | null;
  readonly failure: Error | null;
  readonly attempt: Attempt | null;
  /** Why the server could not be asked just now; the invoice stays as it is. */
  readonly trouble: Error | null;
  readonly leftMs: number;
  readonly payWith: (wallet: string, pay: PayBy) => void;
  /** Leaves this invoice and makes another one. */
  readonly renew: () => void;
  /** Asks the server now. */
  readonly check: () => void;
}

/** Makes the invoice of a wish, or takes the one offered, and follows it until it is paid or expired. */
export function usePayment(wish: PayWish, onPaid: (payment: Payment) => void): PaymentProgress {
  const [made, setMade] = useState<Payment | null>(wish.offer ?? null);
  const [failure, setFailure] = useState<Error | null>(null);
  const [attempt, setAttempt] = useState<Attempt | null>(null);
  const [round, setRound] = useState(0);
  const { payments } = useWallet();
  const payment = made === null ? null : (payments.find(({ hash }) => hash === made.hash) ?? made);
  const invoice = useInvoice(payment);
  const now = useSecond();
  // Time moves between renders: an invoice made now must not seem to have more than its whole time left.
  const stage = stageOf({ payment, failure, attempt, invoice: invoice.data ?? null, now });

  useEffect(() => {
    if (made !== null) return undefined;
    const abort = new AbortController();
    makeInvoice(wish, abort.signal).then(
      (fresh) => {
        keepPayment(fresh);
        setMade(fresh);
      },
      (error: unknown) => {
        if (!abort.signal.aborted) setFailure(error instanceof Error ? error : new Error(wordsOf(error)));
      },
    );
    return () => abort.abort();
    // A wish does not change while its dialog is open; each round makes one invoice.
    // oxlint-disable-next-line react/exhaustive-deps
  }, [round]);

  const told = useRef<string | null>(null);
  const tell = useEffectEvent(() => {
    if (payment === null || told.current === payment.hash) return;
    told.current = payment.hash;
    settle(payment);
    onPaid({ ...payment, state: "paid" });
  });
  useEffect(() => {
    if (stage === "paid") tell();
  }, [stage]);

  function payWith(wallet: string, pay: PayBy) {
    if (payment === null) return;
    const started: Attempt = { wallet, at: Date.now(), refusal: null };
    changePayment(payment.hash, { sentToWallet: true });
    setAttempt(started);
    pay(payment.bolt11).then(
      () => void invoice.refetch(),
      (error: unknown) => setAttempt({ ...started, refusal: wordsOf(error) }),
    );
  }

  function renew() {
    if (payment !== null) changePayment(payment.hash, { setAside: true });
    setMade(null);
    setFailure(null);
    setAttempt(null);
    setRound((count) => count + 1);
  }

  return {
    stage,
    payment,
    failure,
    attempt,
    trouble: invoice.error,
    leftMs: payment === null ? 0 : payment.expiresAt - now,
    payWith,
    renew,
    check: () => void invoice.refetch(),
  };
}
