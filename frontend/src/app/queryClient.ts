import { QueryClient } from "@tanstack/react-query";

const RETRY_AFTER_MS = 1_000;
const FRESH_FOR_MS = 10_000;

/** One quick second try, so that a server that is down is said to be down within seconds. */
export function createQueryClient(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        retry: 1,
        retryDelay: RETRY_AFTER_MS,
        staleTime: FRESH_FOR_MS,
        // A server on this machine needs no internet; whether it answers is for it to show.
        networkMode: "always",
      },
    },
  });
}
