import { type ReactNode, Suspense, lazy, useCallback, useMemo, useRef, useState } from "react";

import { type PayOutcome, type PayWish, type Paying, PayingContext } from "../../shared/payment";
import type { Payment } from "../../shared/wallet/payment";

const load = () => import("./PayDialog");
const PayDialog = lazy(load);

interface Asked {
  readonly wish: PayWish;
  readonly number: number;
  readonly settle: (outcome: PayOutcome) => void;
}

interface PayProviderProps {
  /** What is done once an invoice that was reopened is paid, or another one is wanted: its page goes on. */
  readonly onGoOn: (payment: Payment) => void;
  readonly children: ReactNode;
}

/** The one pay dialog of the app. Its code comes when it is first wanted. */
export function PayProvider({ onGoOn, children }: PayProviderProps) {
  const [asked, setAsked] = useState<Asked | null>(null);
  const [open, setOpen] = useState(false);
  const [paid, setPaid] = useState<Payment | null>(null);
  const count = useRef(0);

  const show = useCallback((wish: PayWish, settle: Asked["settle"]) => {
    count.current += 1;
    setPaid(null);
    setAsked({ wish, number: count.current, settle });
    setOpen(true);
  }, []);

  const paying = useMemo<Paying>(
    () => ({
      // A promise that is settled twice keeps its first outcome, so that a late click changes nothing.
      pay: (wish) => new Promise((settle) => show(wish, settle)),
      reopen: (payment) =>
        show(reopened(payment), (outcome) => (outcome.is === "closed" ? undefined : onGoOn(payment))),
      prepare: () => void load(),
    }),
    [show, onGoOn],
  );

  return (
    <PayingContext value={paying}>
      {children}
      {asked === null ? null : (
        <Suspense fallback={null}>
          <PayDialog
            key={asked.number}
            wish={asked.wish}
            open={open}
            paid={paid}
            onPaid={(payment) => {
              setPaid(payment);
              asked.settle({ is: "paid", payment });
            }}
            onClose={(outcome) => {
              asked.settle(outcome);
              setOpen(false);
            }}
          />
        </Suspense>
      )}
    </PayingContext>
  );
}

/** The wish that an invoice of an earlier visit was made for. */
function reopened(payment: Payment): PayWish {
  return {
    title: TITLES[payment.kind],
    about: payment.title,
    page: payment.page,
    url: payment.request.url,
    body: payment.request.body ?? "",
    offer: payment,
    afterwards: payment.kind === "refill" ? "It is on your balance" : "Going on where you were",
  };
}

const TITLES = { call: "Pay for one call", topup: "Top up", refill: "Refill" } as const;
