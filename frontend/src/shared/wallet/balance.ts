/** What the server says a credential owns, and how it came to that. */

import { useQuery } from "@tanstack/react-query";

import { Refused, ask } from "../request";
import { withChange } from "./funds";
import { authorizationOf } from "./payment";
import { changePayment, dropCarried, useWallet } from "./wallet";

export interface Balance {
  readonly kind: "token" | "l402";
  readonly status: "active" | "unconfirmed" | "frozen";
  readonly balance_sats: number;
  readonly balance_msat: number;
  readonly held_msat: number;
  readonly available_msat: number;
}

const REFRESH_MS = 30_000;
const OWNS_NOTHING = new Set(["invalid_token", "invalid_l402", "payment_already_used"]);

export function bearer(token: string): string {
  return `Bearer ${token}`;
}

export function fetchBalance(authorization: string, signal?: AbortSignal): Promise<Balance> {
  return ask<Balance>("/api/balance", signal === undefined ? { authorization } : { authorization, signal });
}

/** Keeps what is left on the payment that is used next as the server knows it. */
export function useChangeBalance(): void {
  const [payment] = withChange(useWallet());
  useQuery({
    queryKey: ["balance", payment?.hash],
    enabled: payment !== undefined,
    queryFn: async ({ signal }) => {
      if (payment === undefined) return null;
      try {
        const balance = await fetchBalance(authorizationOf(payment), signal);
        changePayment(payment.hash, { balanceMsat: balance.available_msat });
        dropCarried(payment);
        return balance;
      } catch (error) {
        // Claimed or rotated elsewhere: it owns nothing any more. Every other trouble passes.
        if (error instanceof Refused && OWNS_NOTHING.has(error.code)) {
          changePayment(payment.hash, { balanceMsat: 0 });
        }
        throw error;
      }
    },
    refetchInterval: REFRESH_MS,
    retry: false,
  });
}

/** The balance of an opened token; nothing is asked while there is none. */
export function useBalance(token: string | null) {
  return useQuery({
    queryKey: ["balance", token],
    enabled: token !== null,
    queryFn: ({ signal }) => fetchBalance(bearer(token ?? ""), signal),
    refetchInterval: REFRESH_MS,
    retry: false,
  });
}
