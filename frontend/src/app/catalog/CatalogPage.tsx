import { CatalogFailed, CatalogLoading } from "../../features/catalog/CatalogStates";
import { CatalogView } from "../../features/catalog/CatalogView";
import { PageHeading } from "../../shared/ui/PageHeading";
import { useCatalog } from "../../shared/useCatalog";

/** Everything that is sold. */
export default function CatalogPage() {
  const { data, error, refetch } = useCatalog();
  return (
    <div className="grid gap-6 pt-8">
      <PageHeading title="Catalog">What is sold</PageHeading>
      {data !== undefined ? (
        <CatalogView catalog={data} />
      ) : error === null ? (
        <CatalogLoading />
      ) : (
        <CatalogFailed error={error} onRetry={() => void refetch()} />
      )}
    </div>
  );
}
