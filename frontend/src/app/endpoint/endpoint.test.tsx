import { screen, within } from "@testing-library/react";
import { userEvent } from "@testing-library/user-event";
import { describe, expect, it } from "vitest";

import { apiWith, catalogWith } from "../../testing/catalog";
import { open, plain } from "../../testing/open";
import { catalogAnswers, server } from "../../testing/server";

const PAGE = "/catalog/openai/v1/chat/completions";

describe("the page of an endpoint", () => {
  it("tells beside its tabs what the chosen model costs", async () => {
    const user = userEvent.setup();
    open(`${PAGE}?tab=parameters&model=gpt-4o`);
    const costs = await screen.findByRole("complementary", { name: "What it costs" });
    expect(plain(costs)).toContain("$3.25");

    await user.selectOptions(within(costs).getByRole("combobox", { name: "Model" }), "gpt-4o-mini");

    expect(plain(costs)).toContain("$0.195");
    expect(plain(costs)).toContain("500 in + 300 out tokens");
    expect(location.search).toBe("?tab=parameters&model=gpt-4o-mini");
  });

  it("keeps its tab in the address", async () => {
    const user = userEvent.setup();
    open(PAGE);

    await user.click(await screen.findByRole("tab", { name: "Errors" }));

    expect(await screen.findByText("payment_required")).toBeVisible();
    expect(location.search).toBe("?tab=errors");
  });

  it("tells that the last model has ended, and offers nothing to try", async () => {
    const [chat, ...others] = apiWith({}).endpoints;
    if (chat === undefined) throw new Error("the sample has lost its endpoints");
    const ended = { ...chat, models: [], ended: "2027-01-06" };
    server.use(catalogAnswers(catalogWith({ apis: [apiWith({ endpoints: [ended, ...others] })] })));
    open(PAGE);

    expect(await screen.findByText(`${chat.title} is not sold any more`)).toBeVisible();
    expect(screen.getByText(/ended the last model of this endpoint on 2027-01-06/)).toBeVisible();
    expect(screen.queryByRole("tab", { name: "Try it" })).toBeNull();
    expect(screen.getByRole("tab", { name: "Examples", selected: true })).toBeVisible();
  });

  it("does not exist for what is not sold", async () => {
    open("/catalog/openai/v1/nothing");

    expect(await screen.findByRole("heading", { level: 1 })).not.toHaveTextContent("Chat completions");
  });
});

describe("the examples", () => {
  it("are shown one at a time, and the choice is remembered", async () => {
    const user = userEvent.setup();
    const { unmount } = open(`${PAGE}?tab=examples`);

    await user.click(await screen.findByRole("button", { name: "Python, OpenAI SDK" }));

    const code = await screen.findByRole("region", { name: "Python, OpenAI SDK example" });
    expect(code).toHaveTextContent('OpenAI(base_url="http://shop.test/v1", api_key="alb_YOUR_TOKEN")');
    unmount();
    open(`${PAGE}?tab=examples`);
    expect(await screen.findByRole("button", { name: "Python, OpenAI SDK", pressed: true })).toBeVisible();
  });
});

describe("the parameters", () => {
  it("say which are required, their limits, what they do to the price, and what is not sold", async () => {
    open(`${PAGE}?tab=parameters`);
    const table = await screen.findByRole("table", { name: "Parameters" });
    const rows = within(table)
      .getAllByRole("row")
      .map((row) => [...row.querySelectorAll("td")].map(plain).join(" | "));

    expect(rows).toContain("string | at most 128 characters | chooses the price");
    expect(rows).toContain("number | 0 to 2 | ");
    expect(rows).toContain("integer | at least 1 | bounds the most it can cost");
    expect(rows).toContain("audio file | at most 25 MB | its length is paid");
    expect(within(table).getByText("always sent as false")).toBeVisible();
    expect(screen.getByText("functions", { selector: "dt" }).nextElementSibling).toHaveTextContent(
      "functions is obsolete: use tools.",
    );
  });
});
