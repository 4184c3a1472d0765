import { useParams, useSearchParams } from "react-router";

import { CatalogFailed, CatalogLoading } from "../../features/catalog/CatalogStates";
import type { Api, Catalog, Endpoint } from "../../shared/api";
import { useCatalog } from "../../shared/useCatalog";
import { NotFoundPage } from "../NotFoundPage";
import { EndpointView } from "./EndpointView";

const DEFAULT_TAB = "try";

/** One endpoint of the catalog, by its address. The tab and the model are in the address too. */
export default function EndpointPage() {
  const { api: name, "*": rest } = useParams();
  const [params, setParams] = useSearchParams();
  const { data, dataUpdatedAt, error, refetch } = useCatalog();
  if (data === undefined) {
    return (
      <div className="min-h-dvh pt-8">
        {error === null ? <CatalogLoading /> : <CatalogFailed error={error} onRetry={() => void refetch()} />}
      </div>
    );
  }
  const found = find(data, name ?? "", `/${rest ?? ""}`);
  if (found === null) return <NotFoundPage />;

  function choose(key: "tab" | "model", value: string) {
    const next = new URLSearchParams(params);
    if (key === "tab" && value === DEFAULT_TAB) next.delete("tab");
    else next.set(key, value);
    setParams(next, { replace: true, preventScrollReset: true });
  }

  return (
    <EndpointView
      {...found}
      catalog={data}
      receivedAt={dataUpdatedAt}
      tab={params.get("tab") ?? DEFAULT_TAB}
      onTab={(tab) => choose("tab", tab)}
      modelId={params.get("model")}
      onModel={(id) => choose("model", id)}
    />
  );
}

function find(catalog: Catalog, name: string, path: string): { api: Api; endpoint: Endpoint } | null {
  const api = catalog.apis.find((one) => one.name === name);
  const endpoint = api?.endpoints.find((one) => one.path === path);
  return api === undefined || endpoint === undefined ? null : { api, endpoint };
}
