/**
 * The only place that turns amounts into text.
 *
 * A price rounds up, so that nobody pays more than was shown; what is yours rounds down, so that no more is
 * shown than is there. Thousands are parted by no-break spaces: a dot or comma would be read as a decimal
 * mark by half of the world.
 */

export const NO_BREAK_SPACE = "\u00a0";

const MSAT_PER_SAT = 1_000;
const MSAT_PER_BTC = 100_000_000_000;
const USD_CENT = 0.01;
const USD_PRICE_MIN_DECIMALS = 2;
const USD_PRICE_MAX_DECIMALS = 4;

export interface SatsText {
  readonly amount: string;
  readonly unit: "sat" | "sats";
}

/** An integer with its thousands parted: `12 345 678`. */
export function grouped(digits: string): string {
  return digits.replace(/\B(?=(\d{3})+$)/g, NO_BREAK_SPACE);
}

/** What something costs, never less: whole from 100 sats, one decimal from 10, two below. */
export function priceInSats(msat: number): SatsText {
  return satsText(msat, Math.ceil);
}

/** What somebody owns, never more. Same precision as a price. */
export function balanceInSats(msat: number): SatsText {
  return satsText(msat, Math.floor);
}

/** The exact amount: `2 914 msat`. */
export function exactMsat(msat: number): string {
  return `${grouped(String(msat))}${NO_BREAK_SPACE}msat`;
}

/**
 * A listed price from exact decimal dollars: at least two decimals, at most four, rounded up; below a
 * hundredth of a cent, two significant digits.
 */
export function priceInUsd(usd: string): string {
  const [whole = "0", fraction = ""] = usd.split(".");
  const leadingZeros = fraction.length - fraction.replace(/^0+/, "").length;
  const isTiny =
    BigInt(whole) === 0n && leadingZeros >= USD_PRICE_MAX_DECIMALS && leadingZeros < fraction.length;
  const decimals = isTiny ? leadingZeros + 2 : USD_PRICE_MAX_DECIMALS;
  const scaled = scaledUp(whole, fraction, decimals)
    .toString()
    .padStart(decimals + 1, "0");
  const shownWhole = scaled.slice(0, -decimals);
  const shownFraction = scaled.slice(-decimals).replace(/0+$/, "").padEnd(USD_PRICE_MIN_DECIMALS, "0");
  return `$${grouped(shownWhole)}.${shownFraction}`;
}

/** A bitcoin's price from exact decimal dollars, in whole dollars. Nobody is charged by it, so it drops the cents. */
export function bitcoinInUsd(usd: string): string {
  return `$${grouped(usd.split(".")[0] ?? "0")}`;
}

/**
 * What an amount is worth, as a second figure beside sats: `about $0.04`, below a cent `about $0.0032`. Approximate:
 * nobody is charged by it.
 */
export function aboutUsd(msat: number, bitcoinUsd: string): string {
  const usd = (msat / MSAT_PER_BTC) * Number(bitcoinUsd);
  if (usd === 0) return "about $0.00";
  if (usd >= USD_CENT) return `about $${grouped(Math.trunc(usd).toString())}${usd.toFixed(2).slice(-3)}`;
  const digits = 1 - Math.floor(Math.log10(usd));
  return `about $${usd.toFixed(digits)}`;
}

function satsText(msat: number, round: (value: number) => number): SatsText {
  const amount = satsAmount(msat, round);
  return { amount, unit: amount === "1" ? "sat" : "sats" };
}

function satsAmount(msat: number, round: (value: number) => number): string {
  if (msat >= 100 * MSAT_PER_SAT) return grouped(String(round(msat / MSAT_PER_SAT)));
  if (msat >= 10 * MSAT_PER_SAT) return String(round(msat / 100) / 10);
  return String(round(msat / 10) / 100);
}

/** The decimal number × 10^decimals, as an integer rounded up. */
function scaledUp(whole: string, fraction: string, decimals: number): bigint {
  const kept = BigInt(whole + fraction.slice(0, decimals).padEnd(decimals, "0"));
  const lost = /[1-9]/.test(fraction.slice(decimals));
  return lost ? kept + 1n : kept;
}
