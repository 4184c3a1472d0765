import { describe, expect, it } from "vitest";

import { type Entry, SHOWN_DAYS, csvOf, spentByDay, spentByModel, tokensOf } from "./usage";

const NOW = Date.parse("2026-11-25T00:30:00Z");

function entry(changes: Partial<Entry>): Entry {
  return {
    id: 1,
    at: "2026-11-25T00:10:00.000Z",
    type: "charge",
    amount_msat: -17,
    balance_msat: 1_983,
    request_id: "req_1",
    api: "openai",
    path: "/v1/chat/completions",
    model: "gpt-4o-mini",
    ending: "complete",
    usage: { input_tokens: 14, output_tokens: 18 },
    payment_hash: null,
    ...changes,
  };
}

const ENTRIES = [
  entry({}),
  entry({ id: 2, amount_msat: -3, model: "gpt-4o" }),
  entry({ id: 3, at: "2026-11-24T23:59:59.999Z", amount_msat: -5 }),
  entry({ id: 4, type: "credit", amount_msat: 2_000 }),
  entry({ id: 5, at: "2026-10-01T00:00:00.000Z", amount_msat: -7 }),
];

describe("spending", () => {
  it("is counted by days in UTC, the last thirty, each msat once", () => {
    const days = spentByDay(ENTRIES, NOW);

    expect(days).toHaveLength(SHOWN_DAYS);
    expect(days.at(-1)).toEqual({ name: "2026-11-25", msat: 20, calls: 2 });
    expect(days.at(-2)).toEqual({ name: "2026-11-24", msat: 5, calls: 1 });
    expect(days.reduce((sum, { msat }) => sum + msat, 0)).toBe(25);
  });

  it("is counted by model, the dearest first", () => {
    expect(spentByModel(ENTRIES).map(({ name, msat, calls }) => [name, msat, calls])).toEqual([
      ["gpt-4o-mini", 29, 3],
      ["gpt-4o", 3, 1],
    ]);
  });

  it("has tokens where a call has them", () => {
    expect(tokensOf(entry({}))).toEqual({ input: 14, output: 18 });
    expect(tokensOf(entry({ usage: null }))).toBeNull();
  });
});

describe("the CSV", () => {
  it("has exact amounts and a line for each entry", () => {
    const lines = csvOf([entry({})]).split("\r\n");

    expect(lines[0]).toMatch(/^at,type,model,path,input_tokens,output_tokens,amount_msat,balance_msat/);
    expect(lines[1]).toBe(
      "2026-11-25T00:10:00.000Z,charge,gpt-4o-mini,/v1/chat/completions,14,18,-17,1983,complete,req_1,",
    );
    expect(lines[2]).toBe("");
  });

  it("quotes what would break it, and lets no text be a formula", () => {
    const csv = csvOf([entry({ model: 'a "b", c', path: "=cmd()" })]);

    expect(csv).toContain('"a ""b"", c"');
    expect(csv).toContain(",'=cmd(),");
  });
});
