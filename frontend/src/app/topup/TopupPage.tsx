import { useSearchParams } from "react-router";

import { CatalogFailed } from "../../features/catalog/CatalogStates";
import { Topup } from "../../features/topup/Topup";
import { Bone } from "../../shared/ui/Bone";
import { PageHeading } from "../../shared/ui/PageHeading";
import { useCatalog } from "../../shared/useCatalog";

/** Prepaid: a token for an amount, or more on the one that is open (`?refill`). */
export default function TopupPage() {
  const [search] = useSearchParams();
  const refill = search.has("refill");
  const { data, error, refetch } = useCatalog();
  return (
    <div className="grid gap-6 pt-8">
      <div>
        <PageHeading title={refill ? "Refill" : "Top up"}>
          {refill ? "Refill your token" : "Pay once, call often"}
        </PageHeading>
        <p className="mt-2 max-w-prose text-ink2">
          {refill
            ? "The token stays the same."
            : "One invoice, one token: the API key of any OpenAI SDK. Balances do not expire."}
        </p>
      </div>
      {data !== undefined ? (
        <Topup catalog={data} refill={refill} />
      ) : error === null ? (
        <AmountsLoading />
      ) : (
        <CatalogFailed error={error} onRetry={() => void refetch()} />
      )}
    </div>
  );
}

function AmountsLoading() {
  return (
    <div className="grid grid-cols-2 gap-3 md:grid-cols-4">
      <p role="status" className="sr-only">
        Loading amounts
      </p>
      {[0, 1, 2, 3].map((place) => (
        <Bone key={place} className="h-[102px]" />
      ))}
    </div>
  );
}
