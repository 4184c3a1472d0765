import { render, screen, within } from "@testing-library/react";
import { userEvent } from "@testing-library/user-event";
import { HttpResponse, http } from "msw";
import { afterEach, describe, expect, it, vi } from "vitest";

import { CATALOG, apiWith, catalogWith, withoutBitcoinPrice } from "../testing/catalog";
import {
  catalogAnswers,
  catalogIsUnreachable,
  catalogNeverAnswers,
  catalogRefuses,
  server,
} from "../testing/server";
import { App } from "./App";
import { createQueryClient } from "./queryClient";

function openHome() {
  const queryClient = createQueryClient();
  // One try: the tests are about what is drawn, not about how often it is asked.
  queryClient.setDefaultOptions({ queries: { retry: false } });
  render(<App queryClient={queryClient} />);
}

async function rowOf(model: string) {
  return (await screen.findByText(model, { selector: "th > span" })).closest("tr");
}

/** Text with no-break spaces as plain ones. */
function plain(element: Element | null): string {
  return (element?.textContent ?? "").replaceAll("\u00a0", " ");
}

afterEach(() => void vi.useRealTimers());

describe("what is sold", () => {
  it("has dollars first, sats under them, and the typical call", async () => {
    openHome();

    const cells = [...((await rowOf("gpt-4o-mini"))?.cells ?? [])].map(plain);

    expect(cells.slice(1)).toEqual([
      "$0.195195 sats",
      "$0.097597.5 sats",
      "$0.78780 sats",
      "0.34 sats",
      "128k",
    ]);
  });

  it("says what a flat price is for, and has sats alone where no dollar price is", async () => {
    openHome();

    expect(plain(await rowOf("dall-e-2"))).toContain("$0.0220 satsper call");
    expect(plain((await rowOf("gpt-image-1-mini"))?.cells[1] ?? null)).toBe("21 satsper call");
  });

  it("tells in how many days a model ends", async () => {
    vi.useFakeTimers({ toFake: ["Date"], now: Date.parse("2026-11-23T12:00:00Z") });
    openHome();

    expect(plain(await rowOf("gpt-4o"))).toContain("ends in 52 days");
    expect(plain(await rowOf("o4-mini"))).not.toContain("ends");
  });

  it("can be filtered, and the filter cleared", async () => {
    const user = userEvent.setup();
    openHome();

    await user.type(await screen.findByRole("searchbox", { name: "Filter models and endpoints" }), "gtp");
    expect(screen.getByText("Nothing matches “gtp”.")).toBeVisible();
    expect(screen.queryByRole("table")).toBeNull();

    await user.click(screen.getByRole("button", { name: "Clear filter" }));
    expect(screen.getByRole("table", { name: "Prices of OpenAI" })).toBeVisible();
  });

  it("can be sorted by the typical call", async () => {
    const user = userEvent.setup();
    openHome();

    await user.click(await screen.findByRole("button", { name: "Typical call" }));

    const head = screen.getByRole("columnheader", { name: /Typical call/ });
    expect(head).toHaveAttribute("aria-sort", "ascending");
    const first = within(screen.getByRole("table")).getAllByRole("rowheader")[1];
    expect(first).toHaveTextContent(/^gpt-4o-mini/);
  });
});

describe("the way to pay", () => {
  it("is told in commands for this address", async () => {
    openHome();

    const request = await screen.findByRole("region", { name: "request" });
    expect(request).toHaveTextContent("curl -i http://shop.test/openai/v1/chat/completions");
  });

  it("copies a command", async () => {
    const user = userEvent.setup();
    openHome();

    await user.click(await screen.findByRole("button", { name: "Copy paid request" }));

    expect(await navigator.clipboard.readText()).toContain("L402 $MACAROON:$PREIMAGE");
    expect(screen.getByRole("button", { name: "Copied paid request" })).toBeVisible();
  });

  it("selects the command where the browser refuses the clipboard", async () => {
    const user = userEvent.setup();
    openHome();
    await screen.findByRole("region", { name: "request" });
    vi.spyOn(navigator.clipboard, "writeText").mockRejectedValue(new Error("not allowed"));

    await user.click(screen.getByRole("button", { name: "Copy request" }));

    expect(await screen.findByRole("button", { name: "Press Ctrl+C request" })).toBeVisible();
    expect(String(getSelection())).toContain("curl -i");
  });
});

describe("the bitcoin price", () => {
  it("has its age", async () => {
    openHome();

    expect(plain((await screen.findByText(/1 BTC =/)).parentElement)).toBe("1 BTC = $98 41212 s ago");
  });

  it("is called old from two minutes on", async () => {
    const btc_price = { usd: "98412.37", at: "2026-11-23T13:00:00Z", age_seconds: 121 };
    server.use(catalogAnswers(catalogWith({ btc_price })));
    openHome();

    expect(await screen.findByText("old price, 2 min ago")).toBeVisible();
  });

  it("is missed in words, and no price in sats is made up", async () => {
    server.use(catalogAnswers(withoutBitcoinPrice()));
    openHome();

    expect(await screen.findByText("No bitcoin price right now")).toBeVisible();
    expect(plain(await rowOf("gpt-4o-mini"))).toContain("$0.195");
    expect(plain(await rowOf("gpt-4o-mini"))).not.toMatch(/\d sats?/);
    expect(screen.queryByText(/1 BTC =/)).toBeNull();
  });
});

describe("when there is little to show", () => {
  it("says that prices are loading", () => {
    server.use(catalogNeverAnswers());
    openHome();

    expect(screen.getByText("Loading prices")).toHaveAttribute("role", "status");
  });

  it("says that the server is down, and asks again when told to", async () => {
    const user = userEvent.setup();
    server.use(catalogIsUnreachable());
    openHome();
    expect(await screen.findByRole("alert")).toHaveTextContent("The server is not answering");

    server.use(catalogAnswers(CATALOG));
    await user.click(screen.getByRole("button", { name: "Try again" }));

    expect(await screen.findByRole("table")).toBeVisible();
  });

  it("repeats the server's own words when it refuses", async () => {
    server.use(catalogRefuses(503, "The catalog is being changed."));
    openHome();

    expect(await screen.findByRole("alert")).toHaveTextContent("The catalog is being changed.");
  });

  it("does not take another program's page for an answer", async () => {
    server.use(http.get("/api/catalog", () => HttpResponse.html("<h1>It works!</h1>")));
    openHome();

    expect(await screen.findByRole("alert")).toHaveTextContent("The server is not answering");
  });

  it("says that nothing is listed", async () => {
    server.use(catalogAnswers(catalogWith({ apis: [] })));
    openHome();

    expect(await screen.findByText("Nothing is for sale here yet")).toBeVisible();
    expect(screen.queryByText("Nothing can be bought right now")).toBeNull();
    expect(screen.queryByText("Terminal")).toBeNull();
  });

  it("says why an API is not for sale, and still lists its prices", async () => {
    const closed = apiWith({ available: false, unavailable_reason: "The server has no key for it." });
    server.use(catalogAnswers(catalogWith({ apis: [closed] })));
    openHome();

    expect(await screen.findByText("OpenAI is not for sale right now")).toBeVisible();
    expect(screen.getByText(/The server has no key for it\./)).toBeVisible();
    expect(screen.getByText("Nothing can be bought right now")).toBeVisible();
    expect(await rowOf("gpt-4o-mini")).toBeVisible();
  });
});

it("says on every page that a demo is one", async () => {
  server.use(catalogAnswers(catalogWith({ demo: true })));
  openHome();

  expect(await screen.findByRole("complementary", { name: "Demo" })).toHaveTextContent(
    "Demo: play money, canned answers",
  );
});

it("remembers a theme that differs from the system's, and forgets it when they agree again", async () => {
  const user = userEvent.setup();
  openHome();
  const button = screen.getByRole("button", { name: "Dark theme" });

  await user.click(button);
  expect(document.documentElement.dataset["theme"]).toBe("dark");
  expect(localStorage.getItem("theme")).toBe("dark");
  expect(button).toHaveAttribute("aria-pressed", "true");

  await user.click(button);
  expect(document.documentElement.dataset["theme"]).toBeUndefined();
  expect(localStorage.getItem("theme")).toBeNull();
});
