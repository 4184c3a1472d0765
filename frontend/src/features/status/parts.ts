/** What was heard of the server's parts, in words for visitors. */

import type { Health } from "../../shared/api";

export interface PartLine {
  readonly key: string;
  readonly name: string;
  readonly ok: boolean;
  readonly state: string;
  /** When it came into this state, in milliseconds since 1970. */
  readonly since: number;
  /** What it is for, or what is wrong with it. */
  readonly detail: string;
  /** What still works, and what does not, while this part is away. */
  readonly means: string;
}

const NAMES: Readonly<Record<string, string>> = {
  ledger: "Ledger",
  node: "Lightning node",
  price: "Bitcoin price",
};

/** What a part is for, while it works. */
const DOES: Readonly<Record<string, string>> = {
  ledger: "keeps balances and payments",
  node: "makes invoices and sees them paid",
  price: "turns dollars into sats",
};

const MEANS: Readonly<Record<string, string>> = {
  ledger: "Nothing can be bought until it is back. What you own is kept.",
  node: "No new invoices. Tokens and change still pay for calls.",
  price: "What is priced in dollars cannot be bought until there is a fresh price.",
};

const UPSTREAM = "upstream ";

/** The server, then its parts by importance: ledger, node, price, then providers by name. */
export function partLines({ parts, started_at }: Health, titles: ReadonlyMap<string, string>): PartLine[] {
  const order = ["ledger", "node", "price"];
  const rank = (key: string) => (order.includes(key) ? order.indexOf(key) : order.length);
  const lines = Object.entries(parts)
    .toSorted(([a], [b]) => rank(a) - rank(b) || a.localeCompare(b, "en"))
    .map(([key, { ok, detail, since }]) => {
      const api = key.startsWith(UPSTREAM) ? key.slice(UPSTREAM.length) : null;
      const name = api === null ? (NAMES[key] ?? key) : (titles.get(api) ?? api);
      const means = api === null ? (MEANS[key] ?? "") : "Its models cannot be bought; nothing is charged.";
      const state = ok ? "Works" : "Does not work";
      const does = api === null ? DOES[key] : "its models are for sale";
      return {
        key,
        name,
        ok,
        state,
        since: Date.parse(since),
        detail: ok ? (does ?? detail) : detail,
        means: ok ? "" : means,
      };
    });
  return [{ ...SERVER, since: Date.parse(started_at) }, ...lines];
}

const SERVER = {
  key: "server",
  name: "Server",
  ok: true,
  state: "Works",
  detail: "answers this page",
  means: "",
} as const;

/** When what does not work began, by the part that is longest away; null while all works. */
export function troubleSince({ parts }: Health): number | null {
  const broken = Object.values(parts).filter(({ ok }) => !ok);
  return broken.length === 0 ? null : Math.min(...broken.map(({ since }) => Date.parse(since)));
}

/** The whole in one sentence. */
export function summary(health: Health): string {
  const broken = (key: string) => health.parts[key]?.ok === false;
  if (Object.keys(health.parts).length === 0) return "The server has just started";
  if (health.status === "ok") return "Everything works";
  if (broken("ledger")) return "Nothing can be bought right now; what you own is kept";
  if (broken("node")) return "Payments are paused; balances work";
  if (broken("price")) return "There is no fresh bitcoin price; what is priced in sats can be bought";
  const down = Object.keys(health.parts).filter((key) => key.startsWith(UPSTREAM) && broken(key));
  return down.length === 1 ? "One provider is not for sale" : `${down.length} providers are not for sale`;
}
