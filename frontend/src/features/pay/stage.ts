/** Where a payment stands, as the dialog draws it. Pure: times and events come from outside. */

import type { Payment } from "../../shared/wallet/payment";
import type { InvoiceState } from "./invoice";

/** A wallet that was told to pay. */
export interface Attempt {
  readonly wallet: string;
  /** When it was told, in milliseconds. */
  readonly at: number;
  /** The wallet's own words, if it refused. */
  readonly refusal: string | null;
}

export type Stage = "making" | "failed" | "open" | "sent" | "refused" | "expired" | "paid" | "used";

export interface Situation {
  readonly payment: Payment | null;
  /** Why no invoice was made. */
  readonly failure: Error | null;
  readonly attempt: Attempt | null;
  /** The server's last word. */
  readonly invoice: InvoiceState | null;
  readonly now: number;
}

/** One stage for every situation. What the server knows comes before what the wallet said, and both before the clock. */
export function stageOf({ payment, failure, attempt, invoice, now }: Situation): Stage {
  if (payment === null) return failure === null ? "making" : "failed";
  if (payment.state === "used") return "used";
  if (payment.state === "paid" || invoice?.status === "paid") return "paid";
  if (invoice?.status === "expired" || payment.expiresAt <= now) return "expired";
  if (attempt !== null) return attempt.refusal === null ? "sent" : "refused";
  return payment.sentToWallet ? "sent" : "open";
}

/** What a screen reader is told, and when: at every stage, and of the time only now and then. */
export function statusText(stage: Stage, leftMs: number, afterwards: string): string {
  switch (stage) {
    case "making":
      return "Making an invoice";
    case "open":
    case "sent":
      if (leftMs <= 60_000) return "Waiting for payment, less than a minute left";
      return leftMs <= 300_000 ? "Waiting for payment, less than five minutes left" : "Waiting for payment";
    case "paid":
      return `Paid. ${afterwards}`;
    case "expired":
      return "The invoice has expired";
    case "failed":
    case "refused":
    case "used":
      return "";
    default:
      return stage satisfies never;
  }
}
