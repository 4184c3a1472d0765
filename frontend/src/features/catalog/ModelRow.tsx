import type { Model } from "../../shared/api";
import { daysUntil, shutdownText } from "../../shared/time";
import { SatsPrice } from "../../shared/ui/Sats";
import { useNow } from "../../shared/useNow";
import { CachedAmount, NoFigure, OtherPrices, PriceAmount, PriceLine } from "./PriceCells";
import { compactCount, priceList } from "./rows";

const FIGURE = "hidden px-4 py-2.5 text-right md:table-cell";

/** One model with all its prices. */
export function ModelRow({ model }: { readonly model: Model }) {
  const prices = priceList(model.prices);
  const hasTokenPrices = prices.input !== null || prices.output !== null;
  return (
    <tr className="border-b border-line align-top last:border-b-0 hover:bg-sunken/60">
      <th scope="row" className="px-4 py-2.5 text-left font-normal">
        <span className="font-medium wrap-anywhere">{model.id}</span>
        {model.shutdown === null ? null : <Shutdown date={model.shutdown} />}
        <span className="mt-0.5 block text-meta text-ink2 md:hidden">
          <PriceLine prices={prices} context={model.context} />
        </span>
      </th>
      {hasTokenPrices ? (
        <>
          <td className={FIGURE}>
            <PriceAmount price={prices.input} />
          </td>
          <td className={FIGURE}>
            <CachedAmount prices={prices} />
          </td>
          <td className={FIGURE}>
            <PriceAmount price={prices.output} />
            <OtherPrices prices={prices.others} />
          </td>
        </>
      ) : (
        <td colSpan={3} className={FIGURE}>
          <OtherPrices prices={prices.others} />
        </td>
      )}
      <td className="px-4 py-2.5 text-right font-medium">
        {model.typical_price_msat === null ? (
          <NoFigure why="no price in sats now" />
        ) : (
          <SatsPrice msat={model.typical_price_msat} />
        )}
      </td>
      <td className={`${FIGURE} text-ink2`}>
        {model.context === null ? <NoFigure why="no context window" /> : compactCount(model.context)}
      </td>
    </tr>
  );
}

function Shutdown({ date }: { readonly date: string }) {
  const days = daysUntil(date, useNow());
  return (
    <time
      dateTime={date}
      className="ml-2 inline-block rounded-chip bg-warnsoft px-1.5 text-meta whitespace-nowrap text-warn"
    >
      {shutdownText(days)}
    </time>
  );
}
