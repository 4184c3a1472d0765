import { describe, expect, it } from "vitest";

import { aboutUsd, balanceInSats, bitcoinInUsd, exactMsat, priceInSats, priceInUsd } from "./money";

describe("a price in sats", () => {
  it.each([
    [0, "0", "sats"],
    [1, "0.01", "sats"],
    [420, "0.42", "sats"],
    [1_000, "1", "sat"],
    [1_591, "1.6", "sats"],
    [3_181, "3.19", "sats"],
    [9_999, "10", "sats"],
    [12_345, "12.4", "sats"],
    [99_901, "100", "sats"],
    [100_000, "100", "sats"],
    [100_001, "101", "sats"],
    [12_345_001, "12\u00a0346", "sats"],
  ])("never shows less than %d msat", (msat, amount, unit) => {
    expect(priceInSats(msat)).toEqual({ amount, unit });
  });
});

describe("what is yours in sats", () => {
  it.each([
    [9, "0", "sats"],
    [1_009, "1", "sat"],
    [3_189, "3.18", "sats"],
    [9_999, "9.99", "sats"],
    [12_399, "12.3", "sats"],
    [99_999, "99.9", "sats"],
    [100_999, "100", "sats"],
    [12_345_999, "12\u00a0345", "sats"],
  ])("never shows more than %d msat", (msat, amount, unit) => {
    expect(balanceInSats(msat)).toEqual({ amount, unit });
  });
});

describe("a price in dollars", () => {
  it.each([
    ["0.195", "$0.195"],
    ["0.78", "$0.78"],
    ["13", "$13.00"],
    ["0.0975", "$0.0975"],
    ["0.35751", "$0.3576"],
    ["0.99999", "$1.00"],
    ["1234.5", "$1\u00a0234.50"],
    ["0.00001234", "$0.000013"],
    ["0", "$0.00"],
  ])("shows %s exactly to four decimals, then rounds up", (usd, text) => {
    expect(priceInUsd(usd)).toBe(text);
  });
});

it("shows exact amounts as integers of msat", () => {
  expect(exactMsat(2_914)).toBe("2\u00a0914\u00a0msat");
});

it("shows a bitcoin in whole dollars", () => {
  expect(bitcoinInUsd("98412.37")).toBe("$98\u00a0412");
});

it.each([
  [2_000_000, "about $2.00"],
  [1_234_567_000, "about $1\u00a0234.57"],
  [2_000, "about $0.0020"],
  [17, "about $0.000017"],
  [0, "about $0.00"],
])("%d msat at $100,000 are %s", (msat, text) => {
  expect(aboutUsd(msat, "100000")).toBe(text);
});
