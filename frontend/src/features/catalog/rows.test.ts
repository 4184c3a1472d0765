import { describe, expect, it } from "vitest";

import { apiWith } from "../../testing/catalog";
import { type Sort, compactCount, groupsOf, nextSort, perText, priceList } from "./rows";

function ids(filter: string, sort: Sort | null = null): string[][] {
  return groupsOf(apiWith({}), filter, sort).map(({ models }) => models.map(({ id }) => id));
}

describe("filtering", () => {
  it("finds models by a part of their name, in any case", () => {
    expect(ids("4O")).toEqual([["gpt-4o-mini", "gpt-4o"]]);
  });

  it("finds all models of an endpoint by its title or address", () => {
    expect(ids("image")).toEqual([["dall-e-2", "gpt-image-1-mini"]]);
    expect(ids("v1/embeddings")).toEqual([["text-embedding-3-small"]]);
  });

  it("wants every word", () => {
    expect(ids("chat o4")).toEqual([["o4-mini"]]);
    expect(ids("chat dall")).toEqual([]);
  });
});

describe("sorting", () => {
  it("by model or by typical price, inside each endpoint", () => {
    expect(ids("chat", { by: "model", direction: "ascending" })).toEqual([
      ["gpt-4o", "gpt-4o-mini", "o4-mini"],
    ]);
    expect(ids("chat", { by: "typical", direction: "descending" })).toEqual([
      ["gpt-4o", "o4-mini", "gpt-4o-mini"],
    ]);
  });

  it("keeps models without a price last both ways", () => {
    const [chat] = apiWith({}).endpoints;
    if (chat === undefined) throw new Error("no endpoint");
    const models = chat.models.map((model, index) => ({
      ...model,
      typical_price_msat: index === 0 ? null : model.typical_price_msat,
    }));
    const api = apiWith({ endpoints: [{ ...chat, models }] });

    for (const direction of ["ascending", "descending"] as const) {
      const [group] = groupsOf(api, "", { by: "typical", direction });
      expect(group?.models.at(-1)?.id).toBe("gpt-4o-mini");
    }
  });

  it("starts upwards and then turns", () => {
    const first = nextSort(null, "model");
    expect(first).toEqual({ by: "model", direction: "ascending" });
    expect(nextSort(first, "model").direction).toBe("descending");
    expect(nextSort(first, "typical")).toEqual({ by: "typical", direction: "ascending" });
  });
});

it("parts token prices from others, and keeps units it does not know", () => {
  const minute = { unit: "audio_minute", per: 1, usd: "0.006", msat: 6_000, sats: "6" };
  const prices = priceList([minute]);

  expect(prices.input).toBeNull();
  expect(prices.others.map(perText)).toEqual(["per audio minute"]);
  expect(perText({ ...minute, unit: "character", per: 1_000_000 })).toBe("per 1M characters");
});

it("shortens token counts without adding to them", () => {
  expect([300, 8_191, 128_000, 1_047_576].map(compactCount)).toEqual(["300", "8k", "128k", "1.04M"]);
});
