import { useCatalog } from "../../shared/useCatalog";
import { HomePage } from "./HomePage";

/** Fetches what the home page shows. */
export function Home() {
  const { data, dataUpdatedAt, error, refetch } = useCatalog();
  return (
    <HomePage
      catalog={data ?? null}
      receivedAt={dataUpdatedAt}
      error={error}
      onRetry={() => void refetch()}
      origin={location.origin}
    />
  );
}
