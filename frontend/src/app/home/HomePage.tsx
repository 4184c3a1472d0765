import { CatalogFailed, CatalogLoading } from "../../features/catalog/CatalogStates";
import { CatalogView } from "../../features/catalog/CatalogView";
import { pickExample } from "../../features/pay/curl";
import { HowToPay } from "../../features/pay/HowToPay";
import { BitcoinPrice } from "../../features/price/BitcoinPrice";
import type { Catalog } from "../../shared/api";
import { Notice } from "../../shared/ui/Notice";
import { Hero } from "./Hero";

interface HomePageProps {
  /** The newest that arrived, if anything did. */
  readonly catalog: Catalog | null;
  readonly receivedAt: number;
  /** Why the last request failed, if it did. */
  readonly error: Error | null;
  readonly onRetry: () => void;
  readonly origin: string;
}

/** What this is, what it promises, how to pay, and what is sold. */
export function HomePage({ catalog, receivedAt, error, onRetry, origin }: HomePageProps) {
  return (
    <>
      <Hero />
      <section id="pay" aria-labelledby="pay-title" className="pt-12">
        <h2 id="pay-title" className="mb-4 text-h2 font-semibold">
          Pay for a call from your terminal
        </h2>
        {catalog !== null && isClosed(catalog) ? (
          <div className="mb-6">
            <Notice look="warn" title="Nothing can be bought right now">
              Until that changes the first step is answered with 503 Service Unavailable, and no invoice is
              made.
            </Notice>
          </div>
        ) : null}
        <HowToPay example={exampleOf(catalog, error)} origin={origin} />
      </section>
      <section id="prices" aria-labelledby="prices-title" className="pt-18">
        <div className="mb-6 flex flex-wrap items-baseline justify-between gap-x-8 gap-y-2">
          <h2 id="prices-title" className="text-h2 font-semibold">
            What is sold
          </h2>
          {catalog?.btc_price ? <BitcoinPrice price={catalog.btc_price} receivedAt={receivedAt} /> : null}
        </div>
        <div className="grid gap-6">
          <Prices catalog={catalog} error={error} onRetry={onRetry} />
        </div>
      </section>
    </>
  );
}

type PricesProps = Pick<HomePageProps, "catalog" | "error" | "onRetry">;

function Prices({ catalog, error, onRetry }: PricesProps) {
  if (catalog === null) {
    return error === null ? <CatalogLoading /> : <CatalogFailed error={error} onRetry={onRetry} />;
  }
  return (
    <>
      {error === null ? null : (
        <Notice look="warn" title="The server has stopped answering">
          These are the last prices it gave. They are asked for again every half minute.
        </Notice>
      )}
      {catalog.btc_price === null ? (
        <Notice look="warn" title="No bitcoin price right now">
          Dollar prices stand, but they cannot be turned into sats, so nothing priced in dollars can be bought
          until the price is back.
        </Notice>
      ) : null}
      <CatalogView catalog={catalog} />
    </>
  );
}

/** Whether something is listed and none of it can be bought. */
function isClosed({ apis }: Catalog): boolean {
  return apis.length > 0 && apis.every(({ available }) => !available);
}

function exampleOf(catalog: Catalog | null, error: Error | null) {
  if (catalog !== null) return pickExample(catalog);
  return error === null ? "loading" : null;
}
