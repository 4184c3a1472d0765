/** How any page asks to be paid: one dialog, wherever the wish comes from. */

import { type RefObject, createContext, useContext } from "react";

import type { Payment } from "./wallet/payment";

export interface PayWish {
  /** The dialog's title: `Pay for one call`. */
  readonly title: string;
  /** What for: `gpt-4o-mini · Chat completions`. */
  readonly about: string;
  /** The page to come back to. */
  readonly page: string;
  readonly url: string;
  readonly body: string | FormData;
  /** Whose account is refilled. */
  readonly authorization?: string;
  /** An invoice that the server has asked to be paid already. */
  readonly offer?: Payment;
  /** What the invoice will probably ask, shown while it is made. */
  readonly expectedSats?: number;
  /** Why this comes on top of what was paid. */
  readonly reason?: string;
  /** What happens next, said once it is paid: `Running your call`. */
  readonly afterwards: string;
  /** Where the focus goes after the payment. */
  readonly focusAfter?: RefObject<HTMLElement | null>;
}

/** `again`: another invoice is wanted where only who made the offer can make one. */
export type PayOutcome =
  | { readonly is: "paid"; readonly payment: Payment }
  | { readonly is: "closed" }
  | { readonly is: "again" };

export interface Paying {
  /** Opens the dialog, and resolves once it is paid or closed. */
  readonly pay: (wish: PayWish) => Promise<PayOutcome>;
  /** Opens the dialog for an invoice that was made before. */
  readonly reopen: (payment: Payment) => void;
  /** Loads the dialog before it is needed. */
  readonly prepare: () => void;
}

export const PayingContext = createContext<Paying | null>(null);

/** The one dialog. */
export function usePaying(): Paying {
  const paying = useContext(PayingContext);
  if (paying === null) throw new Error("no PayingContext above this component");
  return paying;
}
