import { expect, it } from "vitest";

import { callsFor, chosen } from "./amounts";

const LIMITS = { min_sats: 100, max_sats: 1_000_000 };

it.each([
  ["2500", "sats", { amount_sats: 2_500 }, 2_500],
  ["2 500", "sats", { amount_sats: 2_500 }, 2_500],
  ["2.50", "USD", { amount_usd: "2.50" }, 2_500],
  ["2,5", "USD", { amount_usd: "2.5" }, 2_500],
] as const)("%s %s is an amount", (typed, unit, body, sats) => {
  const found = chosen(typed, unit, "100000", LIMITS);

  expect(JSON.parse(found.body ?? "null")).toEqual(body);
  expect([found.sats, found.error]).toEqual([sats, null]);
});

it.each([
  ["2.500", "sats", /Whole sats/],
  ["-5", "sats", /Whole sats/],
  ["99", "sats", /At least 100/],
  ["1000001", "sats", /At most/],
  ["1.005", "USD", /Dollars/],
  ["0.01", "USD", /At least 100/],
] as const)("%s %s is none", (typed, unit, error) => {
  const found = chosen(typed, unit, "100000", LIMITS);

  expect(found.body).toBeNull();
  expect(found.error).toMatch(error);
});

it("nothing typed is no mistake, and dollars need a bitcoin price", () => {
  expect(chosen("", "sats", null, LIMITS)).toEqual({ body: null, sats: null, error: null });
  expect(chosen("5", "USD", null, LIMITS).error).toMatch(/no bitcoin price/);
});

it.each([
  [1_000, 332, 3_000],
  [5_000, 340, 14_000],
  [1, 2_000, null],
  [1, 100, 10],
])("%d sats pay for about so many calls of %d msat", (sats, msat, calls) => {
  expect(callsFor(sats, msat)).toBe(calls);
});
