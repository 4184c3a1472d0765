import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useEffectEvent } from "react";

import type { Payment } from "../../shared/wallet/payment";
import { dropPayments, wallet } from "../../shared/wallet/wallet";
import { LATE_MS, askInvoice } from "./invoice";

/** How long an invoice that nobody paid is still asked about when the app opens. */
const FORGOTTEN_AFTER_MS = 24 * 3_600_000;

/** Looks, when the app opens and whenever its window is looked at again, what became of invoices left open. */
export function useKeptPayments(): void {
  const queries = useQueryClient();
  const sweep = useEffectEvent(async (signal: AbortSignal, since: number) => {
    const open = wallet().payments.filter(({ state, expiresAt }) => state === "open" && expiresAt > since);
    const paid = await Promise.all(open.map((payment) => look(payment, signal)));
    if (paid.some(Boolean)) await queries.invalidateQueries({ queryKey: ["balance"] });
  });

  useEffect(() => {
    const abort = new AbortController();
    const onVisible = () => {
      if (document.visibilityState === "visible") void sweep(abort.signal, Date.now() - LATE_MS);
    };
    void sweep(abort.signal, 0);
    document.addEventListener("visibilitychange", onVisible);
    return () => {
      abort.abort();
      document.removeEventListener("visibilitychange", onVisible);
    };
  }, []);
}

/** True if it has been paid. An invoice is forgotten only when the node itself says that nobody paid it in time. */
async function look(payment: Payment, signal: AbortSignal): Promise<boolean> {
  const state = await askInvoice(payment, signal).catch(() => null);
  if (state === null) return false; // Not known now; it is asked again the next time.
  if (state.status === "expired" && Date.now() > payment.expiresAt + FORGOTTEN_AFTER_MS)
    dropPayments([payment.hash]);
  return state.status === "paid";
}
