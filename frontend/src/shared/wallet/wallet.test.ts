import { afterEach, describe, expect, it, vi } from "vitest";

import { changeFunds, changeMsat, differenceSats, unpaid, unused, withChange } from "./funds";
import { KEPT_BODY_MAX_CHARACTERS, type Payment, authorizationOf, paymentFrom } from "./payment";
import {
  changePayment,
  changed,
  dropCarried,
  dropPayments,
  forgetToken,
  keepPayment,
  openToken,
  wallet,
} from "./wallet";

const NOW = 1_700_000_000_000;
const ABOUT = {
  title: "gpt-4o-mini · Chat",
  page: "/catalog/x",
  request: { url: "/x", body: "{}" },
  carries: null,
};
const OFFER = {
  kind: "call",
  invoice: "lnbc20n1",
  macaroon: "AgEB",
  payment_hash: "ab".repeat(32),
  amount_sats: 2,
  max_price_msat: 1_644,
  typical_price_msat: 241,
  expires_in: 600,
};

function payment(changes: Partial<Payment> = {}): Payment {
  const made = paymentFrom(OFFER, ABOUT, NOW);
  if (made === null) throw new Error("the offer has no invoice");
  return { ...made, ...changes };
}

function owned(payments: readonly Payment[]) {
  return { token: null, keepsToken: false, payments };
}

afterEach(() => {
  sessionStorage.clear();
  localStorage.clear();
  changed();
});

describe("a payment", () => {
  it("is made of a 402's body, and ends when the invoice does", () => {
    const made = payment();

    expect(made).toMatchObject({
      state: "open",
      kind: "call",
      amountSats: 2,
      maxMsat: 1_644,
      expiresAt: NOW + 600_000,
    });
    expect(authorizationOf(made)).toBe("L402 AgEB:");
  });

  it("is none where the answer has no invoice", () => {
    expect(paymentFrom({ error: { code: "insufficient_balance" } }, ABOUT, NOW)).toBeNull();
  });

  it("keeps the request it was made for, unless it is long", () => {
    const request = { url: "/x", body: "x".repeat(KEPT_BODY_MAX_CHARACTERS + 1) };

    expect(payment().request.body).toBe("{}");
    expect(paymentFrom(OFFER, { ...ABOUT, request }, NOW)?.request.body).toBeNull();
  });
});

describe("the wallet", () => {
  it("remembers payments, newest first, and what becomes of them", () => {
    keepPayment(payment({ hash: "a" }));
    keepPayment(payment({ hash: "b" }));
    changePayment("a", { state: "paid" });
    changePayment("unknown", { state: "paid" });

    expect(wallet().payments.map(({ hash, state }) => [hash, state])).toEqual([
      ["b", "open"],
      ["a", "paid"],
    ]);
    dropPayments(["b"]);
    expect(wallet().payments.map(({ hash }) => hash)).toEqual(["a"]);
  });

  it("does not throw away what another version wrote", () => {
    localStorage.setItem("payments", JSON.stringify([{ future: true }]));
    changed();
    keepPayment(payment());

    expect(wallet().payments).toHaveLength(1);
    expect(JSON.parse(localStorage.getItem("payments") ?? "")).toContainEqual({ future: true });
  });

  it("forgets the payment whose change went over to another one", () => {
    keepPayment(payment({ hash: "old" }));
    keepPayment(payment({ hash: "new", carries: "old" }));
    dropCarried(payment({ hash: "new", carries: "old" }));

    expect(wallet().payments.map(({ hash }) => hash)).toEqual(["new"]);
  });

  it("keeps a token beyond the tab only if told to", () => {
    openToken("alb_a", false);
    expect(wallet()).toMatchObject({ token: "alb_a", keepsToken: false });
    expect(localStorage.getItem("token")).toBeNull();

    openToken("alb_b", true);
    sessionStorage.clear();
    changed();
    expect(wallet()).toMatchObject({ token: "alb_b", keepsToken: true });

    forgetToken();
    expect(wallet().token).toBeNull();
    expect(localStorage.getItem("token")).toBeNull();
  });

  it("works for as long as the page lives where the browser refuses to remember", () => {
    vi.spyOn(Storage.prototype, "setItem").mockImplementation(() => {
      throw new DOMException("refused", "QuotaExceededError");
    });
    vi.spyOn(Storage.prototype, "getItem").mockImplementation(() => {
      throw new DOMException("refused", "SecurityError");
    });
    keepPayment(payment());

    expect(wallet().payments).toHaveLength(1);
    vi.restoreAllMocks();
    dropPayments([payment().hash]);
  });
});

describe("what can be spent", () => {
  it("is what is left on used payments, and all of unused ones, the largest first", () => {
    const payments = [
      payment({ hash: "used", state: "used", balanceMsat: 1_500 }),
      payment({ hash: "paid", state: "paid" }),
      payment({ hash: "open" }),
      payment({ hash: "empty", state: "used", balanceMsat: 0 }),
      payment({ hash: "topup", state: "paid", kind: "topup" }),
    ];

    expect(withChange(owned(payments)).map(({ hash }) => hash)).toEqual(["paid", "used"]);
    expect(changeMsat(owned(payments))).toBe(3_500);
    expect(changeFunds(owned(payments))?.payment?.hash).toBe("paid");
    expect(unused(owned(payments)).map(({ hash }) => hash)).toEqual(["paid", "topup"]);
  });

  it("never hides a payment whose rest is not known", () => {
    const [only] = withChange(owned([payment({ state: "used", balanceMsat: null })]));

    expect(only).toBeDefined();
  });

  it("leaves out invoices that are over or were set aside", () => {
    const payments = [payment({ hash: "a" }), payment({ hash: "b", setAside: true })];

    expect(unpaid(owned(payments), NOW).map(({ hash }) => hash)).toEqual(["a"]);
    expect(unpaid(owned(payments), NOW + 600_000)).toEqual([]);
  });

  it.each([
    [5_000, 1_983, 4],
    [5_000, 5_000, 1],
    [5_000, 0, 5],
    [5_001, 0, 6],
  ])("of %d msat with %d there, %d sats are asked", (ceiling, available, sats) => {
    expect(differenceSats(ceiling, available)).toBe(sats);
  });
});
