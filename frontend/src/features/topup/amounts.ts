/** Amounts of a top-up, as they are chosen. */

export type Unit = "sats" | "USD";

export const PRESETS_SATS = [1_000, 5_000, 20_000, 100_000] as const;

const SATS_PER_BTC = 100_000_000;

export interface Limits {
  readonly min_sats: number;
  readonly max_sats: number;
}

export interface Chosen {
  /** The request's body, null while the amount is none. */
  readonly body: string | null;
  readonly sats: number | null;
  /** What is wrong with the amount. */
  readonly error: string | null;
}

/** What was typed, read strictly: digits, and for dollars two decimals with a point or a comma. */
export function chosen(typed: string, unit: Unit, bitcoinUsd: string | null, limits: Limits): Chosen {
  const amount = typed.trim().replaceAll(/[\s\u00a0]/g, "");
  if (amount === "") return { body: null, sats: null, error: null };
  if (unit === "sats") {
    if (!/^\d{1,12}$/.test(amount)) return wrong("Whole sats, as 2500.");
    const sats = Number(amount);
    return within(sats, limits) ?? { body: JSON.stringify({ amount_sats: sats }), sats, error: null };
  }
  const dollars = amount.replace(",", ".");
  if (!/^\d{1,7}(\.\d{1,2})?$/.test(dollars)) return wrong("Dollars, as 2.50.");
  if (bitcoinUsd === null) return wrong("There is no bitcoin price right now: choose sats.");
  const sats = Math.ceil((Number(dollars) / Number(bitcoinUsd)) * SATS_PER_BTC);
  return within(sats, limits) ?? { body: JSON.stringify({ amount_usd: dollars }), sats, error: null };
}

function within(sats: number, { min_sats, max_sats }: Limits): Chosen | null {
  if (sats < min_sats) return wrong(`At least ${min_sats} sats.`);
  return sats > max_sats ? wrong(`At most ${max_sats} sats.`) : null;
}

function wrong(error: string): Chosen {
  return { body: null, sats: null, error };
}

/** How many typical calls an amount pays for, in round words: `about 1 500`. Null where it is less than one. */
export function callsFor(sats: number, typicalMsat: number): number | null {
  const calls = Math.floor((sats * 1_000) / typicalMsat);
  if (calls < 1) return null;
  const magnitude = 10 ** Math.max(0, Math.floor(Math.log10(calls)) - 1);
  return Math.floor(calls / magnitude) * magnitude;
}
