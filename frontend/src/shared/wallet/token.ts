/** Getting, renewing and giving up tokens. */

import { ask } from "../request";
import { bearer } from "./balance";
import type { Payment } from "./payment";

export interface NewToken {
  readonly token: string;
  readonly balance_sats: number;
  readonly balance_msat: number;
}

/** A token for a paid top-up, or for the change of a call. Repeating it gives the same token. */
export function claimToken({ macaroon, claimKey }: Payment): Promise<NewToken> {
  return ask<NewToken>("/topup/claim", {
    body: JSON.stringify({ macaroon }),
    headers: { "Idempotency-Key": claimKey },
  });
}

/** Adds a paid refill to its account now. Without this the server does so by itself, a little later. */
export function addRefill({ macaroon }: Payment, token: string | null): Promise<void> {
  return ask<void>("/topup/claim", {
    body: JSON.stringify({ macaroon }),
    authorization: token === null ? null : bearer(token),
  });
}

/** A new token for the account; the old one ends. Repeated with the same key it gives the same new one. */
export function rotateToken(token: string, key: string): Promise<NewToken> {
  return ask<NewToken>("/api/token/rotate", {
    method: "POST",
    authorization: bearer(token),
    headers: { "Idempotency-Key": key },
  });
}

/** Gives a token up for ever. Refused while anything is owed to it. */
export function revokeToken(token: string): Promise<void> {
  return ask<void>("/api/token", { method: "DELETE", authorization: bearer(token) });
}

/** What may be shown of a token that is not being handed over: `alb_9f4k…x7Qe`. */
export function maskedToken(token: string): string {
  return `${token.slice(0, 8)}…${token.slice(-4)}`;
}
