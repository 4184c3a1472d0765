/** What a call can be paid with, and what waits to be used. Pure. */

import { type Payment, authorizationOf } from "./payment";
import type { Wallet } from "./wallet";

const MSAT_PER_SAT = 1_000;

/** A credential that pays for calls, and what it is known to hold. */
export interface Funds {
  readonly from: "token" | "change";
  readonly authorization: string;
  /** Null while the server has not said. */
  readonly availableMsat: number | null;
  /** The payment, where it is the change of one. */
  readonly payment: Payment | null;
}

/** Paid and nothing done with it yet, newest first. */
export function unused(wallet: Wallet): readonly Payment[] {
  return wallet.payments.filter(({ state }) => state === "paid");
}

/** Payments of calls that can pay for more, the largest first. */
export function withChange(wallet: Wallet): readonly Payment[] {
  return wallet.payments
    .filter(({ kind, state, balanceMsat }) => kind === "call" && state !== "open" && balanceMsat !== 0)
    .toSorted((a, b) => leftMsat(b) - leftMsat(a));
}

/** What is left on a payment, as far as is known here. */
export function leftMsat(payment: Payment): number {
  if (payment.state === "paid") return payment.balanceMsat ?? payment.amountSats * MSAT_PER_SAT;
  return payment.balanceMsat ?? 0;
}

/** Invoices that can still be paid, newest first. */
export function unpaid(wallet: Wallet, now: number): readonly Payment[] {
  return wallet.payments.filter(
    ({ state, setAside, expiresAt }) => state === "open" && !setAside && expiresAt > now,
  );
}

/** All change in this browser, in msat. */
export function changeMsat(wallet: Wallet): number {
  return withChange(wallet).reduce((sum, payment) => sum + leftMsat(payment), 0);
}

/** The change to use next: the payment with the most of it. */
export function changeFunds(wallet: Wallet): Funds | null {
  const [payment] = withChange(wallet);
  if (payment === undefined) return null;
  return {
    from: "change",
    authorization: authorizationOf(payment),
    availableMsat: leftMsat(payment),
    payment,
  };
}

/** What an invoice asks when `availableMsat` are there already: whole sats, at least one. */
export function differenceSats(ceilingMsat: number, availableMsat: number): number {
  return Math.max(1, Math.ceil((ceilingMsat - availableMsat) / MSAT_PER_SAT));
}
