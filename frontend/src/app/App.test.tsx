import { screen } from "@testing-library/react";
import { userEvent } from "@testing-library/user-event";
import { expect, it } from "vitest";

import { catalogWith } from "../testing/catalog";
import { open } from "../testing/open";
import { catalogAnswers, server } from "../testing/server";

it("says on every page that a demo is one", async () => {
  server.use(catalogAnswers(catalogWith({ demo: true })));
  open("/");

  expect(await screen.findByRole("complementary", { name: "Demo" })).toHaveTextContent(
    "Demo: play money, canned answers",
  );
});

it("says that there is no such page", async () => {
  open("/nothing/here");

  expect(await screen.findByRole("heading", { level: 1 })).toHaveTextContent(/not|no /i);
});

it("remembers a theme that differs from the system's, and forgets it when they agree again", async () => {
  const user = userEvent.setup();
  open("/");
  const button = screen.getByRole("button", { name: "Dark theme" });

  await user.click(button);
  expect(document.documentElement.dataset["theme"]).toBe("dark");
  expect(localStorage.getItem("theme")).toBe("dark");
  expect(button).toHaveAttribute("aria-pressed", "true");

  await user.click(button);
  expect(document.documentElement.dataset["theme"]).toBeUndefined();
  expect(localStorage.getItem("theme")).toBeNull();
});
