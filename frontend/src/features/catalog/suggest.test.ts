import { describe, expect, it } from "vitest";

import { CATALOG } from "../../testing/catalog";
import { rowsOf } from "./rows";
import { suggestionsFor } from "./suggest";

const ROWS = rowsOf(CATALOG);

function ids(words: string): string[] {
  return suggestionsFor(ROWS, words).rows.map(({ model }) => model.id);
}

describe("suggestions", () => {
  it("begin with names that begin with the words", () => {
    expect(ids("o4")[0]).toBe("o4-mini");
    expect(ids("MINI").at(0)).toMatch(/mini/);
    expect(ids("dall")).toEqual(["dall-e-2"]);
  });

  it("are those that the catalog finds, and none for nothing", () => {
    expect(ids("embeddings")).toEqual(["text-embedding-3-small"]);
    expect(suggestionsFor(ROWS, "openai").found).toBe(ROWS.length);
    expect(suggestionsFor(ROWS, "  ")).toEqual({ rows: [], found: 0 });
  });
});
