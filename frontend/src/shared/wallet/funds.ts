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

/** Paid and not used, newest first. */
export function unused(wallet: Wallet): readonly Payment[] {
  return wallet.payments.filter(({ state }) => state === "paid");
}

/** Payments of calls with change on them, the largest first. */
export function withChange(wallet: Wallet): readonly Payment[] {
  return wallet.payments
    .filter(({ state, balanceMsat }) => state === "used" && balanceMsat !== 0)
    .toSorted((a, b) => (b.balanceMsat ?? 0) - (a.balanceMsat ?? 0));
}

/** Invoices that can still be paid, newest first. */
export function unpaid(wallet: Wallet, now: number): readonly Payment[] {
  return wallet.payments.filter(
    ({ state, setAside, expiresAt }) => state === "open" && !setAside && expiresAt > now,
  );
}

/** All change in this browser, in msat. */
export function changeMsat(wallet: Wallet): number {
  return withChange(wallet).reduce((sum, { balanceMsat }) => sum + (balanceMsat ?? 0), 0);
}

/** The change to use next: the payment with the most of it. */
export function changeFunds(wallet: Wallet): Funds | null {
  const [payment] = withChange(wallet);
  if (payment === undefined) return null;
  return {
    from: "change",
    authorization: authorizationOf(payment),
    availableMsat: payment.balanceMsat,
    payment,
  };
}

/** What an invoice asks when `availableMsat` are there already: whole sats, at least one. */
export function differenceSats(ceilingMsat: number, availableMsat: number): number {
  return Math.max(1, Math.ceil((ceilingMsat - availableMsat) / MSAT_PER_SAT));
}
