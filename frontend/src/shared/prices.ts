/** The lines of a price list by what they count, and what each is for in words. */

import type { Endpoint, Price } from "./api";

/** Prices per token by what they count, and all others in the server's order. */
export interface PriceList {
  readonly input: Price | null;
  readonly cachedInput: Price | null;
  readonly cacheWrite: Price | null;
  readonly output: Price | null;
  readonly others: readonly Price[];
}

const TOKEN_UNITS = new Set(["input_token", "cached_input_token", "cache_write_token", "output_token"]);

/** An output price of nothing is no price: embeddings write no tokens. */
export function priceList(prices: readonly Price[]): PriceList {
  const find = (unit: string) => prices.find((price) => price.unit === unit) ?? null;
  const output = find("output_token");
  return {
    input: find("input_token"),
    cachedInput: find("cached_input_token"),
    cacheWrite: find("cache_write_token"),
    output: output?.usd === "0" ? null : output,
    others: prices.filter((price) => !TOKEN_UNITS.has(price.unit)),
  };
}

/** `per call`, `per 1M characters`: what a price is for, from the server's unit. */
export function perText({ unit, per }: Pick<Price, "unit" | "per">): string {
  if (unit === "second" && per === 60) return "per minute";
  const noun = unit.replaceAll("_", " ");
  return per === 1 ? `per ${noun}` : `per ${compactCount(per)} ${noun}s`;
}

/** `1M`, `128k`, `1.05M`, `300`: a count of tokens, rounded down. */
export function compactCount(count: number): string {
  if (count >= 1_000_000) return `${Math.floor(count / 10_000) / 100}M`;
  return count >= 1_000 ? `${Math.floor(count / 1_000)}k` : String(count);
}

/** `500 in + 300 out tokens`, `60 seconds`: what a typical call is. */
export function typicalText({ typical }: Endpoint): string | undefined {
  const { seconds, characters, input_tokens: read, output_tokens: written } = typical;
  if (seconds) return `${seconds} seconds`;
  if (characters) return `${characters} characters`;
  const said = [read ? `${read} in` : "", written ? `${written} out` : ""].filter(Boolean);
  return said.length === 0 ? undefined : `${said.join(" + ")} tokens`;
}
