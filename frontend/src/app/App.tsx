import { CSPProvider } from "@base-ui/react/csp-provider";
import { type QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { useCallback } from "react";
import { BrowserRouter, useNavigate } from "react-router";

import { PayProvider } from "../features/pay/PayProvider";
import { useCatalog } from "../shared/useCatalog";
import type { Payment } from "../shared/wallet/payment";
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

/** What the server wrote into the page, known before the catalog is. */
function isServedAsDemo(): boolean {
  return document.querySelector('meta[name="demo"]') !== null;
}

function Site() {
  const { data } = useCatalog();
  const navigate = useNavigate();
  const goOn = useCallback((payment: Payment) => void navigate(payment.page), [navigate]);
  return (
    <PayProvider onGoOn={goOn}>
      <Shell demo={data?.demo ?? isServedAsDemo()}>
        <Pages />
      </Shell>
    </PayProvider>
  );
}
