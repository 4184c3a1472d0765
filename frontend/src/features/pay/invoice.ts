/** The server's word on invoices: making one, and whether it is paid. */

import { useQuery } from "@tanstack/react-query";

import { ServerUnreachable } from "../../shared/api";
import type { PayWish } from "../../shared/payment";
import { Refused, ask, reach } from "../../shared/request";
import { type Payment, authorizationOf, paymentFrom } from "../../shared/wallet/payment";
import { changePayment, dropPayments } from "../../shared/wallet/wallet";

const ASK_EVERY_MS = 1_000;
/** How long past its end an invoice is asked about: a payment may be on its way. */
export const LATE_MS = 60_000;

export interface InvoiceState {
  readonly status: "open" | "paid" | "expired";
  readonly expires_in: number;
}

/** A new invoice for a wish. Rejects with `Refused` or `ServerUnreachable`. */
export async function makeInvoice(wish: PayWish, signal: AbortSignal): Promise<Payment> {
  try {
    const answer = await reach(wish.url, {
      body: wish.body,
      authorization: wish.authorization ?? null,
      headers: { "X-Payment-Proof": "node" },
      signal,
    });
    await answer.body?.cancel();
  } catch (error) {
    const payment = error instanceof Refused && error.status === 402 ? offerIn(error, wish) : null;
    if (payment === null) throw error;
    return payment;
  }
  throw new ServerUnreachable("The server asked for no payment.");
}

function offerIn(refused: Refused, wish: PayWish): Payment | null {
  const body = typeof wish.body === "string" ? wish.body : null;
  const about = { title: wish.about, page: wish.page, request: { url: wish.url, body }, carries: null };
  return paymentFrom(refused.body, about, Date.now());
}

/** Whether an invoice is paid, says the server's node; what is paid is remembered as such. */
export async function askInvoice(payment: Payment, signal: AbortSignal): Promise<InvoiceState> {
  const state = await ask<InvoiceState>(`/api/invoices/${payment.hash}`, {
    authorization: authorizationOf(payment),
    signal,
  });
  if (state.status === "paid") settle(payment);
  return state;
}

/** A refill is on its balance by itself; everything else waits to be used. */
export function settle(payment: Payment): void {
  if (payment.kind === "refill") dropPayments([payment.hash]);
  else changePayment(payment.hash, { state: "paid" });
}

/** Asks every second whether an invoice is paid, also when the window is in the background. */
export function useInvoice(payment: Payment | null, everyMs = ASK_EVERY_MS) {
  return useQuery({
    queryKey: ["invoice", payment?.hash],
    enabled: payment !== null && payment.state === "open",
    queryFn: ({ signal }) => {
      if (payment === null) throw new Error("no payment");
      return askInvoice(payment, signal);
    },
    refetchInterval: ({ state }) => (state.data?.status === "paid" ? false : everyMs),
    refetchIntervalInBackground: true,
    refetchOnReconnect: true,
    refetchOnWindowFocus: true,
    staleTime: 0,
    retry: false,
  });
}
