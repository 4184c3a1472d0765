/** What of the catalog is shown, and in which order: kept in the address, so that it can be sent and gone back to. */

import { KINDS, KIND_TITLES, type Kind, type Row } from "./rows";

export const SORTS = {
  listed: "As listed",
  typical: "Cheapest call",
  "-typical": "Dearest call",
  model: "Name",
  "-context": "Longest context",
} as const;
export type SortKey = keyof typeof SORTS;

export interface Filter {
  readonly words: string;
  readonly kinds: ReadonlySet<Kind>;
  readonly apis: ReadonlySet<string>;
  readonly sort: SortKey;
}

/** What the address asks for; what it does not know is left out. */
export function filterIn(params: URLSearchParams): Filter {
  const sort = params.get("sort") ?? "listed";
  const kinds = new Set(listIn(params, "kind"));
  return {
    words: params.get("q") ?? "",
    kinds: new Set(KINDS.filter((kind) => kinds.has(kind))),
    apis: new Set(listIn(params, "api")),
    sort: isSort(sort) ? sort : "listed",
  };
}

/** The address of a filter, without what is as it is by itself. */
export function paramsOf({ words, kinds, apis, sort }: Filter): URLSearchParams {
  const params = new URLSearchParams();
  if (words !== "") params.set("q", words);
  if (kinds.size > 0) params.set("kind", [...kinds].join(","));
  if (apis.size > 0) params.set("api", [...apis].join(","));
  if (sort !== "listed") params.set("sort", sort);
  return params;
}

/** How many boxes are ticked. */
export function countTicked({ kinds, apis }: Filter): number {
  return kinds.size + apis.size;
}

/** The rows that are asked for, in the order that is asked for. */
export function shownRows(rows: readonly Row[], filter: Filter): Row[] {
  const found = rows.filter((row) => matches(row, filter));
  const order = ORDERS[filter.sort];
  return order === null ? found : found.toSorted(order);
}

/** Every word must be in the model's name, its provider's or kind's, or in an endpoint's title or path. */
export function matchesWords(row: Row, words: string): boolean {
  const endpoints = row.endpoints.map(({ title, url }) => `${title} ${url}`).join(" ");
  const text = `${row.model.id} ${row.api.title} ${KIND_TITLES[row.kind]} ${endpoints}`.toLowerCase();
  return words
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}

/** A set with one more, or one less. */
export function toggled<T>(set: ReadonlySet<T>, item: T): ReadonlySet<T> {
  return set.has(item) ? new Set([...set].filter((other) => other !== item)) : new Set([...set, item]);
}

function matches(row: Row, { words, kinds, apis }: Filter): boolean {
  const ticked = (kinds.size === 0 || kinds.has(row.kind)) && (apis.size === 0 || apis.has(row.api.name));
  return ticked && matchesWords(row, words);
}

const ORDERS: Readonly<Record<SortKey, ((a: Row, b: Row) => number) | null>> = {
  listed: null,
  typical: (a, b) => missingLast(typical(a), typical(b), 1),
  "-typical": (a, b) => missingLast(typical(a), typical(b), -1),
  model: (a, b) => a.model.id.localeCompare(b.model.id, "en"),
  "-context": (a, b) => missingLast(a.model.context, b.model.context, -1),
};

function typical(row: Row): number | null {
  return row.model.typical_price_msat;
}

/** What has no figure stays last, whichever way the others are turned. */
function missingLast(a: number | null, b: number | null, sign: number): number {
  if (a === null || b === null) return Number(a === null) - Number(b === null);
  return sign * (a - b);
}

function listIn(params: URLSearchParams, name: string): string[] {
  return (params.get(name) ?? "").split(",").filter(Boolean);
}

function isSort(text: string): text is SortKey {
  return Object.hasOwn(SORTS, text);
}
