/** The catalog as rows to show: one per model of an endpoint, grouped by endpoint, filtered and sorted. */

import type { Api, Endpoint, Model, Price } from "../../shared/api";

export interface Group {
  readonly key: string;
  readonly endpoint: Endpoint;
  readonly models: readonly Model[];
}

export type SortKey = "model" | "typical";

export interface Sort {
  readonly by: SortKey;
  readonly direction: "ascending" | "descending";
}

/** Prices per token by what they count, and all others in the server's order. */
export interface PriceList {
  readonly input: Price | null;
  readonly cachedInput: Price | null;
  readonly cacheWrite: Price | null;
  readonly output: Price | null;
  readonly others: readonly Price[];
}

const TOKEN_UNITS = new Set(["input_token", "cached_input_token", "cache_write_token", "output_token"]);

/** Every word of the filter must be in the model's name or in its endpoint's title or path. Empty groups are left out. */
export function groupsOf(api: Api, filter: string, sort: Sort | null): Group[] {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  return api.endpoints
    .map((endpoint) => ({
      key: `${endpoint.method} ${endpoint.url}`,
      endpoint,
      models: sorted(
        endpoint.models.filter((model) => matches(words, endpoint, model)),
        sort,
      ),
    }))
    .filter((group) => group.models.length > 0);
}

export function countModels(groups: readonly Group[]): number {
  return groups.reduce((count, group) => count + group.models.length, 0);
}

/** First press sorts upwards, the next ones turn it round. */
export function nextSort(current: Sort | null, by: SortKey): Sort {
  const turns = current?.by === by && current.direction === "ascending";
  return { by, direction: turns ? "descending" : "ascending" };
}

export function priceList(prices: readonly Price[]): PriceList {
  const find = (unit: string) => prices.find((price) => price.unit === unit) ?? null;
  return {
    input: find("input_token"),
    cachedInput: find("cached_input_token"),
    cacheWrite: find("cache_write_token"),
    output: find("output_token"),
    others: prices.filter((price) => !TOKEN_UNITS.has(price.unit)),
  };
}

/** `per call`, `per 1M characters`: what a price is for, from the server's unit. */
export function perText({ unit, per }: Price): string {
  const noun = unit.replaceAll("_", " ");
  return per === 1 ? `per ${noun}` : `per ${compactCount(per)} ${noun}s`;
}

/** `1M`, `128k`, `1.05M`, `300`: a count of tokens, rounded down. */
export function compactCount(count: number): string {
  if (count >= 1_000_000) return `${Math.floor(count / 10_000) / 100}M`;
  return count >= 1_000 ? `${Math.floor(count / 1_000)}k` : String(count);
}

function matches(words: readonly string[], endpoint: Endpoint, model: Model): boolean {
  const text = `${model.id} ${endpoint.title} ${endpoint.url}`.toLowerCase();
  return words.every((word) => text.includes(word));
}

function sorted(models: readonly Model[], sort: Sort | null): readonly Model[] {
  if (sort === null) return models;
  const sign = sort.direction === "ascending" ? 1 : -1;
  if (sort.by === "model") return models.toSorted((a, b) => sign * a.id.localeCompare(b.id, "en"));
  return models.toSorted((a, b) => compareTypical(a.typical_price_msat, b.typical_price_msat, sign));
}

/** Models without a price stay last, whichever way the others are turned. */
function compareTypical(a: number | null, b: number | null, sign: number): number {
  if (a === null || b === null) return Number(a === null) - Number(b === null);
  return sign * (a - b);
}
