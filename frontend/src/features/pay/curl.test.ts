import { describe, expect, it } from "vitest";

import { CATALOG, apiWith, catalogWith } from "../../testing/catalog";
import { payCommands, pickExample } from "./curl";

describe("the example to pay for", () => {
  it("is the first JSON example, with its model's typical price", () => {
    const example = pickExample(CATALOG);

    expect(example?.endpoint.url).toBe("/openai/v1/chat/completions");
    expect(example?.typicalMsat).toBe(332);
  });

  it("comes from an API that can be bought, if there is one", () => {
    const closed = apiWith({ name: "openai", title: "OpenAI", available: false });
    const open = apiWith({ name: "other", title: "Other", default: false });

    expect(pickExample(catalogWith({ apis: [closed, open] }))?.seller).toBe("Other");
  });

  it("is missing when no endpoint has a JSON body", () => {
    const endpoints = apiWith({}).endpoints.map((endpoint) => ({
      ...endpoint,
      example: { ...endpoint.example, body: null },
    }));

    expect(pickExample(catalogWith({ apis: [apiWith({ endpoints })] }))).toBeNull();
  });
});

describe("the commands", () => {
  const example = pickExample(CATALOG);
  if (example === null) throw new Error("the sample has no example");
  const commands = payCommands(example, "https://shop.example");

  it("ask this server, at the address the visitor used", () => {
    expect(commands.request).toMatch(/\ncurl -i https:\/\/shop\.example\/openai\/v1\/chat\/completions \\\n/);
  });

  it("keep an apostrophe in the body from ending the shell's quotes", () => {
    expect(commands.request).toContain(`it'\\''s Monday`);
  });

  it("send the same body again, with the credential of step two", () => {
    expect(commands.request).toMatch(/^BODY='\{[^]*\}'\ncurl [^]* -d "\$BODY"$/);
    expect(commands.proof).toMatch(/^MACAROON=.*\nPREIMAGE=/);
    expect(commands.paidRequest).toMatch(
      /^curl [^]*-H "Authorization: L402 \$MACAROON:\$PREIMAGE"[^]* -d "\$BODY"$/,
    );
  });

  it("hold the example's JSON, unchanged", () => {
    const quoted = /^BODY='([^]*)'\ncurl/.exec(commands.request)?.[1] ?? "";

    expect(JSON.parse(quoted.replaceAll(`'\\''`, "'"))).toEqual(example.body);
  });
});
