import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { grouped } from "../../shared/money";
import { usePaying } from "../../shared/payment";
import { bearer } from "../../shared/wallet/balance";
import type { Payment } from "../../shared/wallet/payment";
import { type NewToken, addRefill, claimToken } from "../../shared/wallet/token";
import { dropPayments, openToken } from "../../shared/wallet/wallet";

export interface Claimed {
  readonly made: NewToken;
  readonly payment: Payment;
}

/** Buying a token, or more sats for the one that is open. */
export function useTopup(token: string | null) {
  const paying = usePaying();
  const queries = useQueryClient();
  const [claimed, setClaimed] = useState<Claimed | null>(null);
  const [refilledSats, setRefilled] = useState<number | null>(null);
  const [error, setError] = useState<Error | null>(null);

  async function buy(body: string, sats: number): Promise<void> {
    setError(null);
    setRefilled(null);
    const outcome = await paying.pay({
      title: token === null ? "Top up" : "Refill",
      about: `${grouped(String(sats))} sats, prepaid`,
      page: token === null ? "/topup" : "/account",
      url: "/topup",
      body,
      expectedSats: sats,
      afterwards: token === null ? "Making your token" : "It is on your balance",
      ...(token === null ? {} : { authorization: bearer(token) }),
    });
    if (outcome.is !== "paid") return;
    if (outcome.payment.kind === "topup") await claim(outcome.payment);
    else await refill(outcome.payment);
    await queries.invalidateQueries({ queryKey: ["balance"] });
  }

  /** The server adds a paid refill by itself; asking for it makes it do so now. */
  async function refill(payment: Payment): Promise<void> {
    await addRefill(payment, token).catch(() => undefined);
    setRefilled(payment.amountSats);
  }

  /** The token of a paid top-up. It stays with its payment until the visitor has it. */
  async function claim(payment: Payment): Promise<void> {
    setError(null);
    try {
      setClaimed({ made: await claimToken(payment), payment });
    } catch (failure) {
      setError(failure instanceof Error ? failure : new Error("The token was not made."));
    }
  }

  function finish(keep: boolean): void {
    if (claimed === null) return;
    openToken(claimed.made.token, keep);
    dropPayments([claimed.payment.hash]);
    setClaimed(null);
  }

  return { claimed, refilledSats, error, buy, claim, finish };
}
