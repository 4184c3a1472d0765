import { CSPProvider } from "@base-ui/react/csp-provider";
import { type QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { BrowserRouter } from "react-router";

import { useCatalog } from "../shared/useCatalog";
import { ErrorBoundary } from "./ErrorBoundary";
import { Pages } from "./Pages";
import { Shell } from "./Shell";

/** The whole app. The caller owns the client, so that tests can have their own. */
export function App({ queryClient }: { readonly queryClient: QueryClient }) {
  return (
    <ErrorBoundary>
      <QueryClientProvider client={queryClient}>
        <CSPProvider disableStyleElements>
          <BrowserRouter>
            <Site />
          </BrowserRouter>
        </CSPProvider>
      </QueryClientProvider>
    </ErrorBoundary>
  );
}

function Site() {
  const { data } = useCatalog();
  return (
    <Shell demo={data?.demo ?? false}>
      <Pages />
    </Shell>
  );
}
