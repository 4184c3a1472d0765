/** An account's history, and what can be told from it. Amounts are exact, in msat. */

import { ask } from "../../shared/request";

export interface Entry {
  readonly id: number;
  readonly at: string;
  readonly type: "credit" | "charge" | "over" | "adjust";
  readonly amount_msat: number;
  readonly balance_msat: number;
  readonly request_id: string | null;
  readonly api: string | null;
  readonly path: string | null;
  readonly model: string | null;
  readonly ending: string | null;
  readonly usage: Readonly<Record<string, unknown>> | null;
  readonly payment_hash: string | null;
}

export interface Page {
  readonly entries: readonly Entry[];
  readonly next_cursor: number | null;
}

/** What one bar stands for. */
export interface Spent {
  readonly name: string;
  readonly msat: number;
  readonly calls: number;
}

export const PAGE_ENTRIES = 50;
const LONG_PAGE_ENTRIES = 200;
const PAGES_MAX_COUNT = 50;
const DAY_MS = 86_400_000;
export const SHOWN_DAYS = 30;

/** One page of the history, newest first. */
export function fetchPage(
  authorization: string,
  before: number | null,
  signal: AbortSignal,
  limit = PAGE_ENTRIES,
): Promise<Page> {
  const cursor = before === null ? "" : `&before=${before}`;
  return ask<Page>(`/api/usage?limit=${limit}${cursor}`, { authorization, signal });
}

/** All entries that are not older than `since`, newest first; the newest 10,000 of them. */
export async function fetchSince(
  authorization: string,
  since: number,
  signal: AbortSignal,
): Promise<Entry[]> {
  const found: Entry[] = [];
  let before: number | null = null;
  for (let page = 0; page < PAGES_MAX_COUNT; page += 1) {
    // Each page begins where the last one ended.
    // oxlint-disable-next-line no-await-in-loop
    const { entries, next_cursor }: Page = await fetchPage(authorization, before, signal, LONG_PAGE_ENTRIES);
    const fresh = entries.filter(({ at }) => Date.parse(at) >= since);
    found.push(...fresh);
    if (next_cursor === null || fresh.length < entries.length) break;
    before = next_cursor;
  }
  return found;
}

/** What was spent on each of the last thirty days in UTC, oldest first, days without calls included. */
export function spentByDay(entries: readonly Entry[], now: number): readonly Spent[] {
  const days = Array.from({ length: SHOWN_DAYS }, (_, index) =>
    new Date(now - (SHOWN_DAYS - 1 - index) * DAY_MS).toISOString().slice(0, 10),
  );
  const sums = sumBy(entries, ({ at }) => at.slice(0, 10));
  return days.map((name) => sums.get(name) ?? { name, msat: 0, calls: 0 });
}

/** What was spent on each model, the dearest first. */
export function spentByModel(entries: readonly Entry[]): readonly Spent[] {
  const sums = sumBy(entries, ({ model, path }) => model ?? path ?? "other");
  return [...sums.values()].toSorted((a, b) => b.msat - a.msat);
}

function sumBy(entries: readonly Entry[], nameOf: (entry: Entry) => string): Map<string, Spent> {
  const sums = new Map<string, Spent>();
  for (const entry of entries) {
    if (entry.type !== "charge") continue;
    const name = nameOf(entry);
    const { msat, calls } = sums.get(name) ?? { msat: 0, calls: 0 };
    sums.set(name, { name, msat: msat - entry.amount_msat, calls: calls + 1 });
  }
  return sums;
}

/** Tokens in and out, under the names that the providers use; null where a call has none. */
export function tokensOf({ usage }: Entry): { readonly input: number; readonly output: number } | null {
  const read = (...names: readonly string[]) =>
    names.map((name) => usage?.[name]).find((value): value is number => typeof value === "number");
  const input = read("prompt_tokens", "input_tokens");
  const output = read("completion_tokens", "output_tokens");
  return input === undefined && output === undefined ? null : { input: input ?? 0, output: output ?? 0 };
}

const COLUMNS = [
  "at",
  "type",
  "model",
  "path",
  "input_tokens",
  "output_tokens",
  "amount_msat",
  "balance_msat",
  "ending",
  "request_id",
  "payment_hash",
] as const;

/** The history as CSV (RFC 4180), msat exact. */
export function csvOf(entries: readonly Entry[]): string {
  const rows = entries.map((entry) => {
    const tokens = tokensOf(entry);
    return [
      entry.at,
      entry.type,
      entry.model,
      entry.path,
      tokens?.input ?? null,
      tokens?.output ?? null,
      entry.amount_msat,
      entry.balance_msat,
      entry.ending,
      entry.request_id,
      entry.payment_hash,
    ];
  });
  return [COLUMNS, ...rows].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}

/** Quoted where it must be. A text that a spreadsheet would run as a formula is kept from it. */
function cell(value: string | number | null): string {
  if (value === null) return "";
  if (typeof value === "number") return String(value);
  const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
