import { screen } from "@testing-library/react";
import { HttpResponse, http } from "msw";
import { expect, it } from "vitest";

import { sinceText } from "../../shared/time";
import { HEALTH } from "../../testing/endpoint";
import { open, plain } from "../../testing/open";
import { healthAnswers, server } from "../../testing/server";

it("says that everything works, and by which parts", async () => {
  open("/status");

  expect(await screen.findByText("Everything works")).toBeVisible();
  const names = screen.getAllByRole("listitem").map((line) => plain(line.firstElementChild));
  expect(names.slice(0, 5)).toEqual(["Server", "Ledger", "Lightning node", "Bitcoin price", "OpenAI"]);
});

it("says first what still works while the node is down", async () => {
  const node = { ok: false, detail: "it does not answer", since: "2026-11-23T13:02:00Z" };
  const parts = { ...HEALTH.parts, node };
  server.use(healthAnswers({ ...HEALTH, status: "not_ready", parts }));
  open("/status");

  expect(await screen.findByText("Payments are paused; balances work")).toBeVisible();
  expect(screen.getByText("No new invoices. Tokens and change still pay for calls.")).toBeVisible();
  const since = sinceText(Date.parse(node.since), Date.now());
  expect(screen.getByRole("status").nextElementSibling).toHaveTextContent(since);
  expect(screen.getByText("it does not answer").parentElement).toHaveTextContent(since);
});

it("says that the server does not answer", async () => {
  server.use(http.get("/api/health", () => HttpResponse.error()));
  open("/status");

  expect(await screen.findByRole("alert")).toHaveTextContent("The server is not answering");
});
