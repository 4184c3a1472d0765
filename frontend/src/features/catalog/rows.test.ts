import { describe, expect, it } from "vitest";

import { CATALOG, apiWith, catalogWith } from "../../testing/catalog";
import { type Filter, filterIn, paramsOf, shownRows } from "./filter";
import { compactCount, perText } from "../../shared/prices";
import { endpointPage, rowsOf } from "./rows";

const ALL: Filter = { words: "", kinds: new Set(), apis: new Set(), sort: "listed" };

function ids(filter: Partial<Filter>): string[] {
  return shownRows(rowsOf(CATALOG), { ...ALL, ...filter }).map(({ model }) => model.id);
}

describe("rows", () => {
  it("are one for a model that costs the same on two endpoints", () => {
    const [chat] = apiWith({}).endpoints;
    if (chat === undefined) throw new Error("the sample has lost its endpoint");
    const responses = { ...chat, path: "/v1/responses", url: "/openai/v1/responses", title: "Responses" };

    const rows = rowsOf(catalogWith({ apis: [apiWith({ endpoints: [chat, responses] })] }));

    expect(rows.map(({ endpoints }) => endpoints.map(({ title }) => title))).toEqual(
      chat.models.map(() => ["Chat completions", "Responses"]),
    );
  });

  it("are two for a model that two providers have", () => {
    const other = apiWith({ name: "other", title: "Other" });

    const rows = rowsOf(catalogWith({ apis: [apiWith({}), other] }));

    expect(rows.filter(({ model }) => model.id === "gpt-4o")).toHaveLength(2);
  });

  it("lead to the endpoint, whatever the model is called", () => {
    const [row] = rowsOf(CATALOG);
    const [endpoint] = row?.endpoints ?? [];
    if (row === undefined || endpoint === undefined) throw new Error("the sample is empty");

    expect(endpointPage(endpoint, { ...row.model, id: "a/b c" })).toBe(
      "/catalog/openai/v1/chat/completions?model=a%2Fb%20c",
    );
  });
});

describe("the filter", () => {
  it("wants every word, in the model, its provider, kind or endpoint", () => {
    expect(ids({ words: "4o CHAT" })).toEqual(["gpt-4o-mini", "gpt-4o"]);
    expect(ids({ words: "openai images mini" })).toEqual(["gpt-image-1-mini"]);
    expect(ids({ words: "gpt nothing" })).toEqual([]);
  });

  it("wants one of the ticked kinds and one of the ticked providers", () => {
    expect(ids({ kinds: new Set(["embeddings", "images"]) })).toEqual([
      "text-embedding-3-small",
      "dall-e-2",
      "gpt-image-1-mini",
    ]);
    expect(ids({ apis: new Set(["nobody"]) })).toEqual([]);
  });

  it("sorts what has no figure last, whichever way", () => {
    const rows = rowsOf(CATALOG).map((row) =>
      row.model.id === "gpt-4o" ? { ...row, model: { ...row.model, typical_price_msat: null } } : row,
    );

    for (const sort of ["typical", "-typical"] as const) {
      expect(shownRows(rows, { ...ALL, sort }).at(-1)?.model.id).toBe("gpt-4o");
    }
  });

  it("comes back from the address as it went in", () => {
    const filter: Filter = {
      words: "mini & more",
      kinds: new Set(["text", "audio"]),
      apis: new Set(["openai"]),
      sort: "-context",
    };

    expect(filterIn(new URLSearchParams(String(paramsOf(filter))))).toEqual(filter);
    expect(String(paramsOf(ALL))).toBe("");
  });

  it("leaves out what the address has and it does not know", () => {
    expect(filterIn(new URLSearchParams("kind=text,toString&sort=toString"))).toEqual({
      ...ALL,
      kinds: new Set(["text"]),
    });
  });
});

it.each([
  ["call", 1, "per call"],
  ["input_character", 1_000_000, "per 1M input characters"],
])("what a price of %s by %d is for", (unit, per, text) => {
  expect(perText({ unit, per })).toBe(text);
});

it.each([
  [300, "300"],
  [8_191, "8k"],
  [128_000, "128k"],
  [1_047_576, "1.04M"],
])("a count of %d is told as %s", (count, text) => {
  expect(compactCount(count)).toBe(text);
});
