import { useParams } from "react-router";

import { CatalogFailed, CatalogLoading } from "../../features/catalog/CatalogStates";
import { TryIt } from "../../features/tryit/TryIt";
import { PageHeading } from "../../shared/ui/PageHeading";
import { useCatalog } from "../../shared/useCatalog";
import { NotFoundPage } from "../NotFoundPage";

/** One endpoint: what it is, and a form to try it. */
export default function EndpointPage() {
  const { api: name, "*": path } = useParams();
  const { data, error, refetch } = useCatalog();
  if (data === undefined) {
    return error === null ? (
      <CatalogLoading />
    ) : (
      <CatalogFailed error={error} onRetry={() => void refetch()} />
    );
  }
  const api = data.apis.find((each) => each.name === name);
  const endpoint = api?.endpoints.find((each) => each.path === `/${path}`);
  if (api === undefined || endpoint === undefined) return <NotFoundPage />;
  return (
    <div className="grid gap-6 pt-8">
      <div>
        <PageHeading title={`${endpoint.title} · ${api.title}`}>{endpoint.title}</PageHeading>
        <p className="mt-1 font-mono text-meta text-ink2 wrap-anywhere">
          {endpoint.method} {endpoint.url}
        </p>
      </div>
      <TryIt key={endpoint.url} api={api} endpoint={endpoint} />
    </div>
  );
}
