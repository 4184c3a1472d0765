import { CatalogFailed, CatalogLoading } from "../../features/catalog/CatalogStates";
import { CatalogView } from "../../features/catalog/CatalogView";
import { BitcoinPrice } from "../../features/price/BitcoinPrice";
import { PriceNotices } from "../../features/price/PriceNotices";
import { PageHeading } from "../../shared/ui/PageHeading";
import { useCatalog } from "../../shared/useCatalog";
import { useFilter } from "./useFilter";

/** Everything that is sold. The filter is in the address. */
export default function CatalogPage() {
  const { data, dataUpdatedAt, error, refetch } = useCatalog();
  const [filter, setFilter] = useFilter();
  return (
    <div className="grid gap-6 pt-8">
      <div className="flex flex-wrap items-baseline justify-between gap-x-8 gap-y-1">
        <PageHeading title="Catalog">Catalog</PageHeading>
        {data?.btc_price ? <BitcoinPrice price={data.btc_price} receivedAt={dataUpdatedAt} /> : null}
      </div>
      {data !== undefined ? (
        <>
          <PriceNotices hasPrice={data.btc_price !== null} stopped={error !== null} />
          <CatalogView catalog={data} filter={filter} onFilter={setFilter} />
        </>
      ) : error === null ? (
        <CatalogLoading />
      ) : (
        <CatalogFailed error={error} onRetry={() => void refetch()} />
      )}
    </div>
  );
}
