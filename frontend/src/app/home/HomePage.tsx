import { CatalogFailed } from "../../features/catalog/CatalogStates";
import { CheapestList } from "../../features/home/CheapestList";
import { type LiveCall, countModels, isClosed, liveCall } from "../../features/home/example";
import { Hero } from "../../features/home/Hero";
import { LiveCost } from "../../features/home/LiveCost";
import { Steps } from "../../features/home/Steps";
import { useLiveQuote } from "../../features/home/useLiveQuote";
import { WhereSatsAre } from "../../features/home/WhereSatsAre";
import { BitcoinPrice } from "../../features/price/BitcoinPrice";
import { PriceNotices } from "../../features/price/PriceNotices";
import type { Catalog } from "../../shared/api";
import { filledIn } from "../../shared/code";
import { Bone } from "../../shared/ui/Bone";
import { CodeBlock } from "../../shared/ui/CodeBlock";
import { Notice } from "../../shared/ui/Notice";
import { PageHeading } from "../../shared/ui/PageHeading";
import { useCatalog } from "../../shared/useCatalog";
import { useEndpoint } from "../../shared/useEndpoint";

const MSAT_PER_SAT = 1_000;

/** What this is, a call with its price of this moment, how to pay, and the promise. */
export default function HomePage() {
  const { data, dataUpdatedAt, error, refetch } = useCatalog();
  const heading = (
    <PageHeading title="" className="max-w-[22ch] text-h1 font-semibold text-balance md:text-home">
      OpenAI-style API calls, paid in sats. No account.
    </PageHeading>
  );
  return (
    <div className="grid gap-12 md:gap-14">
      <Hero heading={heading} models={data === undefined ? null : countModels(data)} />
      {data === undefined && error !== null ? (
        <CatalogFailed error={error} onRetry={() => void refetch()} />
      ) : (
        <Live catalog={data ?? null} />
      )}
      <Steps />
      <WhereSatsAre />
      {data === undefined ? null : (
        <div className="grid gap-4">
          <PriceNotices hasPrice={data.btc_price !== null} stopped={error !== null} />
          <CheapestList catalog={data} />
          {data.btc_price === null ? null : (
            <BitcoinPrice price={data.btc_price} receivedAt={dataUpdatedAt} />
          )}
        </div>
      )}
    </div>
  );
}

function Live({ catalog }: { readonly catalog: Catalog | null }) {
  const call = catalog === null ? null : liveCall(catalog);
  if (catalog !== null && call === null) {
    return (
      <Notice look="warn" title="Nothing is for sale here yet">
        The server is running, but its catalog is empty.
      </Notice>
    );
  }
  return (
    <div className="grid gap-4">
      {catalog !== null && isClosed(catalog) ? (
        <Notice look="warn" title="Nothing can be bought right now">
          Until that changes every call is answered with 503 Service Unavailable, and no invoice is made.
        </Notice>
      ) : null}
      <div className="grid gap-4 md:grid-cols-[minmax(0,1fr)_320px]">
        <LiveCode call={call} />
        <LivePrice call={call} bitcoinUsd={catalog?.btc_price?.usd ?? null} />
      </div>
    </div>
  );
}

function LiveCode({ call }: { readonly call: LiveCall | null }) {
  const { data, error } = useEndpoint(call?.api.name, call?.endpoint);
  const example = data?.examples[0];
  // As high as the program that takes its place.
  if (example === undefined)
    return error === null ? <Bone className="h-[530px] rounded-card! bg-sunken!" /> : null;
  const { code, language } = filledIn(example, location.origin, null);
  return <CodeBlock name="the call" code={code} language={language} />;
}

interface LivePriceProps {
  readonly call: LiveCall | null;
  readonly bitcoinUsd: string | null;
}

function LivePrice({ call, bitcoinUsd }: LivePriceProps) {
  const { data, isLoading } = useLiveQuote(call);
  return (
    <LiveCost
      title={call === null ? " " : [call.model?.id, call.endpoint.title].filter(Boolean).join(" · ")}
      page={call === null ? "/catalog" : `/catalog${call.endpoint.url}`}
      cost={{
        mostMsat: data === undefined ? null : data.amount_sats * MSAT_PER_SAT,
        typicalMsat: data?.typical_price_msat ?? call?.model?.typical_price_msat ?? null,
      }}
      bitcoinUsd={bitcoinUsd}
      loading={call === null || isLoading}
    />
  );
}
