import { describe, expect, it } from "vitest";

import { paymentFrom } from "../../shared/wallet/payment";
import { type Situation, stageOf, statusText } from "./stage";
import { isWalletLink, wordsOf } from "./wallets";

const NOW = 1_700_000_000_000;
const OFFER = {
  kind: "call",
  invoice: "lnbc1",
  macaroon: "m",
  payment_hash: "h",
  amount_sats: 2,
  expires_in: 600,
};
const ABOUT = { title: "t", page: "/p", request: { url: "/x", body: "{}" }, carries: null };
const PAYMENT = paymentFrom(OFFER, ABOUT, NOW);
const ATTEMPT = { wallet: "a wallet", at: NOW, refusal: null };

function situation(changes: Partial<Situation>): Situation {
  return { payment: PAYMENT, failure: null, attempt: null, invoice: null, now: NOW, ...changes };
}

function paymentWith(changes: object) {
  if (PAYMENT === null) throw new Error("no payment");
  return { ...PAYMENT, ...changes };
}

describe("a payment's stage", () => {
  it.each([
    ["making", situation({ payment: null })],
    ["failed", situation({ payment: null, failure: new Error("no node") })],
    ["open", situation({})],
    ["sent", situation({ attempt: ATTEMPT })],
    ["refused", situation({ attempt: { ...ATTEMPT, refusal: "no route" } })],
    ["expired", situation({ now: NOW + 600_000 })],
    ["expired", situation({ invoice: { status: "expired", expires_in: 0 } })],
    ["paid", situation({ invoice: { status: "paid", expires_in: 0 } })],
    ["used", situation({ payment: paymentWith({ state: "used" }) })],
  ])("is %s", (stage, given) => {
    expect(stageOf(given)).toBe(stage);
  });

  it("believes the server before a wallet that refused, and before the clock", () => {
    const invoice = { status: "paid", expires_in: 0 } as const;
    const attempt = { ...ATTEMPT, refusal: "timeout" };

    expect(stageOf(situation({ invoice, attempt, now: NOW + 700_000 }))).toBe("paid");
  });

  it("hides the code of an invoice that a wallet was told to pay in an earlier visit", () => {
    expect(stageOf(situation({ payment: paymentWith({ sentToWallet: true }) }))).toBe("sent");
  });

  it("is told to a screen reader at every stage, and of the time only twice", () => {
    expect(statusText("open", 500_000, "")).toBe("Waiting for payment");
    expect(statusText("open", 299_000, "")).toBe(statusText("open", 61_000, ""));
    expect(statusText("sent", 59_000, "")).toMatch(/less than a minute/);
    expect(statusText("paid", 0, "Running your call")).toBe("Paid. Running your call");
  });
});

describe("wallets", () => {
  it("are connected by links that look like one", () => {
    expect(isWalletLink(` nostr+walletconnect://${"a".repeat(64)}?relay=wss://r.example&secret=s `)).toBe(
      true,
    );
    expect(isWalletLink("https://wallet.example")).toBe(false);
  });

  it("speak for themselves, whatever they throw", () => {
    expect(wordsOf(new Error("no route"))).toBe("no route");
    expect(wordsOf({ message: "declined" })).toBe("declined");
    expect(wordsOf(undefined)).toBe("It gave no reason.");
  });
});
