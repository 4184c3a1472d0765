import { useQuery } from "@tanstack/react-query";

import { fetchCatalog } from "./api";

const REFRESH_MS = 30_000;

/** What is sold, renewed every half minute so that the bitcoin price on screen is the one calls are sold at. */
export function useCatalog() {
  return useQuery({
    queryKey: ["catalog"],
    queryFn: ({ signal }) => fetchCatalog(signal),
    refetchInterval: REFRESH_MS,
  });
}
