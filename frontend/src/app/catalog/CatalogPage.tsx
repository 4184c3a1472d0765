import { useSearchParams } from "react-router";

import { CatalogFailed, CatalogLoading } from "../../features/catalog/CatalogStates";
import { CatalogView } from "../../features/catalog/CatalogView";
import { filterIn, paramsOf } from "../../features/catalog/filter";
import { BitcoinPrice } from "../../features/price/BitcoinPrice";
import { PriceNotices } from "../../features/price/PriceNotices";
import { PageHeading } from "../../shared/ui/PageHeading";
import { useCatalog } from "../../shared/useCatalog";

/** Everything that is sold. The filter is in the address. */
export default function CatalogPage() {
  const { data, dataUpdatedAt, error, refetch } = useCatalog();
  const [params, setParams] = useSearchParams();
  return (
    <div className="grid gap-6 pt-8">
      <div className="flex flex-wrap items-baseline justify-between gap-x-8 gap-y-1">
        <PageHeading title="Catalog">Catalog</PageHeading>
        {data?.btc_price ? <BitcoinPrice price={data.btc_price} receivedAt={dataUpdatedAt} /> : null}
      </div>
      {data !== undefined ? (
        <>
          <PriceNotices hasPrice={data.btc_price !== null} stopped={error !== null} />
          <CatalogView
            catalog={data}
            filter={filterIn(params)}
            onFilter={(filter) => setParams(paramsOf(filter), { replace: true, preventScrollReset: true })}
          />
        </>
      ) : error === null ? (
        <CatalogLoading />
      ) : (
        <CatalogFailed error={error} onRetry={() => void refetch()} />
      )}
    </div>
  );
}
