/** What this browser remembers of an invoice, from its making until all that it paid for is used. */

import { asObject, text } from "../request";

/** What is sent once it is paid: enough to go on after the tab was closed. */
export interface KeptRequest {
  readonly url: string;
  /** The JSON that was sent; null for uploads and long requests, which are not kept. */
  readonly body: string | null;
}

export interface Payment {
  readonly hash: string;
  readonly kind: "call" | "topup" | "refill";
  /** `open`: nobody is known to have paid. `paid`: and nothing was done with it yet. `used`: its change is left. */
  readonly state: "open" | "paid" | "used";
  readonly macaroon: string;
  readonly bolt11: string;
  readonly amountSats: number;
  /** By this browser's clock, in milliseconds since 1970, as are all times here. */
  readonly expiresAt: number;
  readonly madeAt: number;
  readonly usedAt: number | null;
  /** What it is for, in words: `gpt-4o-mini · Chat completions`. */
  readonly title: string;
  /** The page that asked for it. */
  readonly page: string;
  readonly request: KeptRequest;
  readonly maxMsat: number | null;
  readonly typicalMsat: number | null;
  /** The hash of the payment whose change goes over to this one. */
  readonly carries: string | null;
  /** A wallet was told to pay it: it must not be offered to another one. */
  readonly sentToWallet: boolean;
  /** Another invoice was asked for instead. Should this one be paid after all, its money is found again. */
  readonly setAside: boolean;
  /** What was left on it when last heard. */
  readonly balanceMsat: number | null;
  /** Repeats of its claim are answered with the same token. */
  readonly claimKey: string;
}

export const KEPT_BODY_MAX_CHARACTERS = 65_536;

/** What goes into `Authorization`: the macaroon of a page needs no preimage, the server asks its node. */
export function authorizationOf(payment: Pick<Payment, "macaroon">): string {
  return `L402 ${payment.macaroon}:`;
}

/** A payment from the body of a 402, null where it has no invoice. */
export function paymentFrom(
  body: Readonly<Record<string, unknown>>,
  about: Pick<Payment, "title" | "page" | "request" | "carries">,
  now: number,
): Payment | null {
  const [bolt11, macaroon, hash] = [
    text(body["invoice"]),
    text(body["macaroon"]),
    text(body["payment_hash"]),
  ];
  if (bolt11 === "" || macaroon === "" || hash === "") return null;
  const kept = about.request.body;
  return {
    ...about,
    request: { url: about.request.url, body: isShort(kept) ? kept : null },
    hash,
    kind: kindOf(body["kind"]),
    state: "open",
    macaroon,
    bolt11,
    amountSats: number(body["amount_sats"]) ?? 0,
    expiresAt: now + (number(body["expires_in"]) ?? 0) * 1_000,
    madeAt: now,
    usedAt: null,
    maxMsat: number(body["max_price_msat"]),
    typicalMsat: number(body["typical_price_msat"]),
    sentToWallet: false,
    setAside: false,
    balanceMsat: null,
    claimKey: crypto.randomUUID(),
  };
}

/** A stored value that still has the shape of a payment; anything else is not touched by this version. */
export function isPayment(value: unknown): value is Payment {
  const { hash, macaroon, bolt11, state, page } = asObject(value);
  const texts = [hash, macaroon, bolt11, state, page];
  return texts.every((each) => typeof each === "string" && each !== "");
}

function isShort(body: string | null): body is string {
  return body !== null && body.length <= KEPT_BODY_MAX_CHARACTERS;
}

function kindOf(value: unknown): Payment["kind"] {
  return value === "topup" || value === "refill" ? value : "call";
}

function number(value: unknown): number | null {
  return typeof value === "number" ? value : null;
}
