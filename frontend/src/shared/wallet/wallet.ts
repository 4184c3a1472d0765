/**
 * What the visitor owns in this browser: an opened token, and payments that are not used up.
 *
 * Payments are kept for ever, because who loses them loses the money; a token only if the visitor says so.
 */

import { useSyncExternalStore } from "react";

import { type Payment, isPayment } from "./payment";
import { forEver, forThisTab } from "./storage";

const PAYMENTS = "payments";
const TOKEN = "token";

export interface Wallet {
  readonly token: string | null;
  /** Whether the token outlives this tab. */
  readonly keepsToken: boolean;
  /** Newest first. */
  readonly payments: readonly Payment[];
}

const listeners = new Set<() => void>();
let current: Wallet | null = null;

/** What is owned now. */
export function wallet(): Wallet {
  current ??= read();
  return current;
}

/** The same, for components: they are drawn again when it changes, in whatever tab. */
export function useWallet(): Wallet {
  return useSyncExternalStore(subscribe, wallet);
}

/** Remember a new payment, or what became of a known one. */
export function keepPayment(payment: Payment): void {
  const others = storedPayments().filter((stored) => !(isPayment(stored) && stored.hash === payment.hash));
  writePayments([{ ...payment }, ...others]);
}

/** Change what is remembered of a payment; nothing happens if it is not remembered any more. */
export function changePayment(hash: string, changes: Partial<Payment>): void {
  const stored = storedPayments();
  if (!stored.some((each) => isPayment(each) && each.hash === hash)) return;
  writePayments(
    stored.map((each) => (isPayment(each) && each.hash === hash ? { ...each, ...changes } : each)),
  );
}

/** Forget payments: what is left on them is lost to who has no copy. */
export function dropPayments(hashes: readonly string[]): void {
  writePayments(storedPayments().filter((each) => !(isPayment(each) && hashes.includes(each.hash))));
}

/**
 * Forget the payment whose change has gone over to this one: both own the same account now. Only once the server has
 * seen the new one; before that the old one is where the change is.
 */
export function dropCarried({ carries }: Payment): void {
  if (carries !== null) dropPayments([carries]);
}

/** Use a token: until the tab is closed, or until it is forgotten. */
export function openToken(token: string, keep: boolean): void {
  forThisTab.write(TOKEN, token);
  forEver.write(TOKEN, keep ? token : null);
  changed();
}

/** Forget the token here; it stays good. */
export function forgetToken(): void {
  forThisTab.write(TOKEN, null);
  forEver.write(TOKEN, null);
  changed();
}

/** Read everything again, as after another tab has written. */
export function changed(): void {
  current = null;
  for (const listener of listeners) listener();
}

function read(): Wallet {
  const kept = forEver.read(TOKEN);
  const payments = storedPayments().filter(isPayment);
  return { token: forThisTab.read(TOKEN) ?? kept, keepsToken: kept !== null, payments };
}

/** Also what this version cannot read: a newer one may. */
function storedPayments(): readonly unknown[] {
  try {
    const stored: unknown = JSON.parse(forEver.read(PAYMENTS) ?? "[]");
    return Array.isArray(stored) ? stored : [];
  } catch {
    return [];
  }
}

function writePayments(payments: readonly unknown[]): void {
  forEver.write(PAYMENTS, payments.length === 0 ? null : JSON.stringify(payments));
  changed();
}

function subscribe(listener: () => void): () => void {
  if (listeners.size === 0) addEventListener("storage", changed);
  listeners.add(listener);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) removeEventListener("storage", changed);
  };
}
