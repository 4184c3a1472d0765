import { useQuery } from "@tanstack/react-query";

import type { Quote } from "../../shared/api";
import { ask } from "../../shared/request";
import type { LiveCall } from "./example";

const FRESH_MS = 60_000;

/** What the call would cost now, by the server's own quote: free, and no invoice is made. */
export function useLiveQuote(call: LiveCall | null) {
  return useQuery({
    queryKey: ["live quote", call?.endpoint.url],
    queryFn: ({ signal }) =>
      ask<Quote>(`/api/quote${call?.endpoint.url ?? ""}`, { body: JSON.stringify(call?.body), signal }),
    enabled: call !== null && call.api.available,
    staleTime: FRESH_MS,
    retry: false,
  });
}
