import { Link } from "react-router";

import { aboutUsd } from "../../shared/money";
import { SatsPrice } from "../../shared/ui/Sats";
import { FurtherPrices, NoFigure, OtherPrices, PriceAmount, PriceLine } from "./PriceCells";
import { compactCount } from "../../shared/prices";
import { NotForSale, Shutdown } from "./ModelMarks";
import { type Row, endpointPage } from "./rows";

const FIGURE = "hidden px-4 py-2.5 text-right md:table-cell";

interface ModelRowProps {
  readonly row: Row;
  readonly bitcoinUsd: string | null;
  readonly namesApi: boolean;
}

/** One model: where to call it, what it costs. */
export function ModelRow({ row, bitcoinUsd, namesApi }: ModelRowProps) {
  const { model, api, endpoints, prices } = row;
  const [first] = endpoints;
  const perToken = prices.input !== null || prices.output !== null;
  return (
    <tr className="border-b border-line align-top last:border-b-0 hover:bg-sunken/60">
      <th scope="row" className="px-4 py-2.5 text-left font-normal">
        {first === undefined ? null : (
          <Link
            to={endpointPage(first, model)}
            className="inline-flex min-h-6 items-center font-medium wrap-anywhere underline-offset-4 hover:underline"
          >
            {model.id}
          </Link>
        )}
        <span className="flex flex-wrap items-center gap-x-2 text-meta text-ink2">
          {namesApi ? api.title : null}
          {model.shutdown === null ? null : <Shutdown date={model.shutdown} />}
          {!api.available ? (
            <NotForSale>not for sale now</NotForSale>
          ) : model.paused ? (
            <NotForSale>paused</NotForSale>
          ) : null}
        </span>
        <span className="block text-meta text-ink2 md:hidden">
          <PriceLine prices={prices} />
        </span>
      </th>
      <td className="hidden min-w-36 px-4 py-2.5 text-left text-ink2 md:table-cell">
        <span className="flex flex-wrap gap-x-3">
          {endpoints.map((endpoint) => (
            <Link
              key={endpoint.url}
              to={endpointPage(endpoint, model)}
              className="inline-flex min-h-6 items-center underline-offset-4 hover:text-ink hover:underline"
            >
              {endpoint.title}
            </Link>
          ))}
        </span>
      </td>
      {perToken ? (
        <>
          <td className={FIGURE}>
            <PriceAmount price={prices.input} />
          </td>
          <td className={FIGURE}>
            <PriceAmount price={prices.output} />
            <FurtherPrices prices={prices.others} />
          </td>
        </>
      ) : (
        <td colSpan={2} className={FIGURE}>
          <OtherPrices prices={prices.others} />
        </td>
      )}
      <TypicalCell msat={model.typical_price_msat} bitcoinUsd={bitcoinUsd} />
      <td className={`${FIGURE} text-ink2`}>
        {model.context === null ? <NoFigure why="no context window" /> : compactCount(model.context)}
      </td>
    </tr>
  );
}

interface TypicalCellProps {
  readonly msat: number | null;
  readonly bitcoinUsd: string | null;
}

function TypicalCell({ msat, bitcoinUsd }: TypicalCellProps) {
  return (
    <td className="px-4 py-2.5 text-right font-medium">
      {msat === null ? <NoFigure why="no price in sats now" /> : <SatsPrice msat={msat} />}
      {msat === null || bitcoinUsd === null ? null : (
        <span className="block text-meta font-normal whitespace-nowrap text-ink2">
          {aboutUsd(msat, bitcoinUsd)}
        </span>
      )}
    </td>
  );
}
