import type { Price } from "../../shared/api";
import { priceInSats, priceInUsd } from "../../shared/money";
import { SatsPrice } from "../../shared/ui/Sats";
import { type PriceList, perText } from "../../shared/prices";

/** What a table says where there is no figure: never a zero. */
export function NoFigure({ why }: { readonly why: string }) {
  return (
    <span className="text-ink3">
      <span aria-hidden="true">–</span>
      <span className="sr-only">{why}</span>
    </span>
  );
}

/** Dollars, and sats under them. A price set in sats has sats alone. */
export function PriceAmount({ price }: { readonly price: Price | null }) {
  if (price === null || (price.usd === null && price.msat === null)) return <NoFigure why="not priced" />;
  return (
    <>
      {price.usd === null ? null : <span className="block whitespace-nowrap">{priceInUsd(price.usd)}</span>}
      {price.msat === null ? null : (
        <span className={price.usd === null ? "block" : "block text-meta text-ink2"}>
          <SatsPrice msat={price.msat} />
        </span>
      )}
    </>
  );
}

/** Prices that are not per token, each with what it is for: `$0.02 per call`. */
export function OtherPrices({ prices }: { readonly prices: readonly Price[] }) {
  return prices.map((price) => (
    <span key={price.unit} className="flex items-start justify-end gap-x-1.5">
      <span>
        <PriceAmount price={price} />
      </span>
      <span className="text-ink2">{perText(price)}</span>
    </span>
  ));
}

/** Further prices of what is priced per token, small: `image input $10.40`. */
export function FurtherPrices({ prices }: { readonly prices: readonly Price[] }) {
  return prices.map((price) =>
    price.usd === null ? null : (
      <span key={price.unit} className="block text-meta whitespace-nowrap text-ink2">
        {price.unit.replace(/_token$/, "").replaceAll("_", " ")} {priceInUsd(price.usd)}
      </span>
    ),
  );
}

/** The figures that compare, in running text, for narrow screens: `$0.20 in  $0.78 out`. */
export function PriceLine({ prices }: { readonly prices: PriceList }) {
  const perToken = tokenParts(prices);
  const parts = perToken.length > 0 ? perToken : prices.others.map(otherPart);
  return (
    <span className="flex flex-wrap gap-x-3">
      {parts.map((part) => (
        <span key={part}>{part}</span>
      ))}
    </span>
  );
}

function tokenParts({ input, output }: PriceList): string[] {
  const named = [
    [input, "in"],
    [output, "out"],
  ] as const;
  return named.flatMap(([price, name]) =>
    price === null || price.usd === null ? [] : [`${priceInUsd(price.usd)} ${name}`],
  );
}

function otherPart(price: Price): string {
  if (price.usd !== null) return `${priceInUsd(price.usd)} ${perText(price)}`;
  if (price.msat === null) return `not priced ${perText(price)}`;
  const { amount, unit } = priceInSats(price.msat);
  return `${amount} ${unit} ${perText(price)}`;
}
