import { screen, within } from "@testing-library/react";
import { userEvent } from "@testing-library/user-event";
import { afterEach, describe, expect, it, vi } from "vitest";

import { apiWith, catalogWith, withoutBitcoinPrice } from "../../testing/catalog";
import { open, plain } from "../../testing/open";
import { catalogAnswers, catalogNeverAnswers, server } from "../../testing/server";

async function rowOf(model: string) {
  return (await screen.findByRole("link", { name: model })).closest("tr");
}

async function models(): Promise<(string | null)[]> {
  const table = await screen.findByRole("table");
  return within(table)
    .getAllByRole("rowheader")
    .map((head) => within(head).getByRole("link").textContent);
}

afterEach(() => void vi.useRealTimers());

describe("a model", () => {
  it("has dollars first, sats under them, and the typical call in sats and dollars", async () => {
    open("/catalog");

    const cells = [...((await rowOf("gpt-4o-mini"))?.cells ?? [])].map(plain);

    expect(cells.slice(1)).toEqual([
      "Chat completions",
      "$0.195195 sats",
      "$0.78780 sats",
      "0.34 satsabout $0.00033",
      "128k",
    ]);
  });

  it("leads to its endpoint's page", async () => {
    open("/catalog");

    expect(await screen.findByRole("link", { name: "gpt-4o-mini" })).toHaveAttribute(
      "href",
      "/catalog/openai/v1/chat/completions?model=gpt-4o-mini",
    );
  });

  it("says what a flat price is for, and has sats alone where no dollar price is", async () => {
    open("/catalog");

    expect(plain(await rowOf("dall-e-2"))).toContain("$0.0220 satsper call");
    expect(plain((await rowOf("gpt-image-1-mini"))?.cells[2])).toBe("21 satsper call");
  });

  it("has no price for what it does not write", async () => {
    open("/catalog");

    expect(plain((await rowOf("text-embedding-3-small"))?.cells[3])).not.toContain("$0.00");
  });

  it("tells in how many days it ends", async () => {
    vi.useFakeTimers({ toFake: ["Date"], now: Date.parse("2026-11-23T12:00:00Z") });
    open("/catalog");

    expect(plain(await rowOf("gpt-4o"))).toContain("ends in 52 days");
    expect(plain(await rowOf("o4-mini"))).not.toContain("ends");
  });

  it("has no price in sats while there is no bitcoin price", async () => {
    server.use(catalogAnswers(withoutBitcoinPrice()));
    open("/catalog");

    expect(plain(await rowOf("gpt-4o-mini"))).toContain("$0.195");
    expect(plain(await rowOf("gpt-4o-mini"))).not.toMatch(/\d sats?/);
  });
});

describe("the filter", () => {
  it("is in the address, and read from there", async () => {
    const user = userEvent.setup();
    open("/catalog?kind=text");
    expect(await models()).toEqual(["gpt-4o-mini", "gpt-4o", "o4-mini"]);

    await user.type(screen.getByRole("searchbox", { name: "Search the catalog" }), "4o");
    expect(await models()).toEqual(["gpt-4o-mini", "gpt-4o"]);
    await user.selectOptions(screen.getByRole("combobox", { name: "Sort" }), "Dearest call");

    expect(await models()).toEqual(["gpt-4o", "gpt-4o-mini"]);
    expect(location.search).toBe("?q=4o&kind=text&sort=-typical");
  });

  it("can be cleared when it leaves nothing", async () => {
    const user = userEvent.setup();
    open("/catalog?q=gtp&kind=audio,text");

    expect(await screen.findByText("Nothing matches “gtp”.")).toBeVisible();
    await user.click(screen.getByRole("button", { name: "Clear filters" }));

    expect(await models()).toContain("gpt-4o-mini");
    expect(location.search).toBe("");
  });

  it("sorts by the heads of the table", async () => {
    const user = userEvent.setup();
    open("/catalog");

    await user.click(await screen.findByRole("button", { name: "Typical call" }));

    expect(screen.getByRole("columnheader", { name: /Typical call/ })).toHaveAttribute(
      "aria-sort",
      "ascending",
    );
    expect((await models())[0]).toBe("text-embedding-3-small");
  });
});

describe("when there is little to show", () => {
  it("says that prices are loading", async () => {
    server.use(catalogNeverAnswers());
    open("/catalog");

    expect(await screen.findByText("Loading prices")).toHaveAttribute("role", "status");
  });

  it("says that nothing is listed", async () => {
    server.use(catalogAnswers(catalogWith({ apis: [] })));
    open("/catalog");

    expect(await screen.findByText("Nothing is for sale here yet")).toBeVisible();
  });

  it("says why an API is not for sale, and still lists its prices", async () => {
    const closed = apiWith({ available: false, unavailable_reason: "The server has no key for it." });
    server.use(catalogAnswers(catalogWith({ apis: [closed] })));
    open("/catalog");

    expect(await screen.findByText("OpenAI is not for sale right now")).toBeVisible();
    expect(screen.getByText(/The server has no key for it\./)).toBeVisible();
    expect(await rowOf("gpt-4o-mini")).toBeVisible();
  });
});
