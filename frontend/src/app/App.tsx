import { type QueryClient, QueryClientProvider } from "@tanstack/react-query";

import { useCatalog } from "../shared/useCatalog";
import { ErrorBoundary } from "./ErrorBoundary";
import { Home } from "./home/Home";
import { Shell } from "./Shell";

/** The whole app. The caller owns the client, so that tests can have their own. */
export function App({ queryClient }: { readonly queryClient: QueryClient }) {
  return (
    <ErrorBoundary>
      <QueryClientProvider client={queryClient}>
        <Page />
      </QueryClientProvider>
    </ErrorBoundary>
  );
}

function Page() {
  const { data } = useCatalog();
  return (
    <Shell demo={data?.demo ?? false}>
      <Home />
    </Shell>
  );
}
