/** The commands that buy one call from a terminal, made of the catalog's own example. */

import type { Api, Catalog, Endpoint, JsonValue } from "../../shared/api";

export interface PayableExample {
  /** Who answers in the end, as in "OpenAI". */
  readonly seller: string;
  readonly endpoint: Endpoint;
  readonly body: { readonly [key: string]: JsonValue };
  /** Typical price of the example's model, null while there is no bitcoin price. */
  readonly typicalMsat: number | null;
}

export interface PayCommands {
  readonly request: string;
  readonly proof: string;
  readonly paidRequest: string;
}

/** The first JSON example of what can be bought now, else of what is listed; null when the catalog has none. */
export function pickExample(catalog: Catalog): PayableExample | null {
  const byPreference = catalog.apis.toSorted((a, b) => rank(a) - rank(b));
  for (const api of byPreference) {
    for (const endpoint of api.endpoints) {
      const body = endpoint.example?.body ?? null;
      if (body === null || endpoint.content_type !== "json") continue;
      return { seller: api.title, endpoint, body, typicalMsat: typicalMsat(endpoint, body["model"]) };
    }
  }
  return null;
}

/** Commands a visitor can paste as they are; only macaroon and preimage are theirs to fill in. */
export function payCommands({ endpoint, body }: PayableExample, origin: string): PayCommands {
  const url = new URL(endpoint.url, origin).href;
  const json = `-H "Content-Type: application/json"`;
  const credential = `-H "Authorization: L402 $MACAROON:$PREIMAGE"`;
  return {
    request: `BODY=${shellQuoted(prettyJson(body))}\n${lines([`curl -i ${url}`, json, `-d "$BODY"`])}`,
    proof: "MACAROON='macaroon from the answer'\nPREIMAGE='preimage from your wallet'",
    paidRequest: lines([`curl ${url}`, json, credential, `-d "$BODY"`]),
  };
}

function lines(parts: readonly string[]): string {
  return parts.join(" \\\n  ");
}

/** One property of the request on each line. */
function prettyJson(body: PayableExample["body"]): string {
  const properties = Object.entries(body).map(
    ([key, value]) => `  ${JSON.stringify(key)}: ${JSON.stringify(value)}`,
  );
  return `{\n${properties.join(",\n")}\n}`;
}

function typicalMsat(endpoint: Endpoint, model: JsonValue | undefined): number | null {
  return endpoint.models.find(({ id }) => id === model)?.typical_price_msat ?? null;
}

function rank(api: Api): number {
  return (api.available ? 0 : 2) + (api.default ? 0 : 1);
}

/** One word of a POSIX shell, whatever it holds. */
function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
