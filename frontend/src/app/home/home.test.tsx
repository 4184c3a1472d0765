import { screen, within } from "@testing-library/react";
import { userEvent } from "@testing-library/user-event";
import { HttpResponse, http } from "msw";
import { describe, expect, it, vi } from "vitest";

import { CATALOG, apiWith, catalogWith, withoutBitcoinPrice } from "../../testing/catalog";
import { open, plain } from "../../testing/open";
import { catalogAnswers, catalogIsUnreachable, catalogRefuses, server } from "../../testing/server";

describe("the live call", () => {
  it("has its price of this moment: at most, typically, and what stays yours", async () => {
    open("/");
    const card = await screen.findByRole("region", { name: "What this call costs now" });

    await within(card).findByText("42", { exact: false });

    const figures = [...card.querySelectorAll("dd")].map(plain);
    expect(figures).toEqual(["42 sats", "3.18 sats", "38.8 sats"]);
    expect(plain(card)).toContain("gpt-4o-mini · Chat completions");
    expect(within(card).getByRole("link", { name: "Try it here" })).toHaveAttribute(
      "href",
      "/catalog/openai/v1/chat/completions",
    );
  });

  it("is a program for this address, and can be copied", async () => {
    const user = userEvent.setup();
    open("/");

    await user.click(await screen.findByRole("button", { name: "Copy the call" }));

    expect(await navigator.clipboard.readText()).toContain(
      "curl http://shop.test/openai/v1/chat/completions",
    );
    expect(screen.getByRole("button", { name: "Copied the call" })).toBeVisible();
  });

  it("is selected where the browser refuses the clipboard", async () => {
    const user = userEvent.setup();
    open("/");
    await screen.findByRole("region", { name: "the call" });
    vi.spyOn(navigator.clipboard, "writeText").mockRejectedValue(new Error("not allowed"));

    await user.click(screen.getByRole("button", { name: "Copy the call" }));

    expect(await screen.findByRole("button", { name: "Press Ctrl+C the call" })).toBeVisible();
    expect(String(getSelection())).toContain("curl http://shop.test");
  });

  it("has the catalog's typical price where no quote comes, and makes up no other", async () => {
    server.use(
      http.post("/api/quote/*", () => HttpResponse.json({ error: { message: "No." } }, { status: 429 })),
    );
    open("/");

    const card = await screen.findByRole("region", { name: "What this call costs now" });
    expect(await within(card).findAllByText("no price now")).toHaveLength(2);
    expect([...card.querySelectorAll("dd")].map(plain)[1]).toBe("0.34 sats");
  });

  it("says that nothing can be bought, and asks for no quote then", async () => {
    const closed = apiWith({ available: false, unavailable_reason: "The server has no key for it." });
    server.use(catalogAnswers(catalogWith({ apis: [closed] })));
    open("/");

    expect(await screen.findByText("Nothing can be bought right now")).toBeVisible();
  });

  it("says that nothing is listed", async () => {
    server.use(catalogAnswers(catalogWith({ apis: [] })));
    open("/");

    expect(await screen.findByText("Nothing is for sale here yet")).toBeVisible();
  });
});

it("shows from how much each thing is sold, and leads to it", async () => {
  open("/");

  const link = await screen.findByRole("link", { name: /Embeddings text-embedding-3-small/ });

  expect(plain(link)).toContain("typically 0.0");
  expect(link).toHaveAttribute("href", "/catalog/openai/v1/embeddings?model=text-embedding-3-small");
});

describe("the bitcoin price", () => {
  it("has its age", async () => {
    open("/");

    expect(plain((await screen.findByText(/1 BTC =/)).parentElement)).toBe("1 BTC = $98 41212 s ago");
  });

  it("is called old from two minutes on", async () => {
    const btc_price = { usd: "98412.37", at: "2026-11-23T13:00:00Z", age_seconds: 121 };
    server.use(catalogAnswers(catalogWith({ btc_price })));
    open("/");

    expect(await screen.findByText("old price, 2 min ago")).toBeVisible();
  });

  it("is missed in words", async () => {
    server.use(catalogAnswers(withoutBitcoinPrice()));
    open("/");

    expect(await screen.findByText("No bitcoin price right now")).toBeVisible();
    expect(screen.queryByText(/1 BTC =/)).toBeNull();
  });
});

describe("when the server does not tell its prices", () => {
  it("says that it is down, and asks again when told to", async () => {
    const user = userEvent.setup();
    server.use(catalogIsUnreachable());
    open("/");
    expect(await screen.findByRole("alert")).toHaveTextContent("The server is not answering");

    server.use(catalogAnswers(CATALOG));
    await user.click(screen.getByRole("button", { name: "Try again" }));

    expect(await screen.findByText(/1 BTC =/)).toBeVisible();
  });

  it("repeats the server's own words when it refuses", async () => {
    server.use(catalogRefuses(503, "The catalog is being changed."));
    open("/");

    expect(await screen.findByRole("alert")).toHaveTextContent("The catalog is being changed.");
  });

  it("does not take another program's page for an answer", async () => {
    server.use(http.get("/api/catalog", () => HttpResponse.html("<h1>It works!</h1>")));
    open("/");

    expect(await screen.findByRole("alert")).toHaveTextContent("The server is not answering");
  });
});
