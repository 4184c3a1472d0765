import { useQuery } from "@tanstack/react-query";

import { type Endpoint, fetchEndpoint } from "./api";

/** One endpoint in full: the rules of its body and programs that call it. They change with a release only. */
export function useEndpoint(api: string | undefined, endpoint: Endpoint | undefined) {
  return useQuery({
    queryKey: ["endpoint", api, endpoint?.path],
    queryFn: ({ signal }) => fetchEndpoint(api ?? "", endpoint?.path.slice(1) ?? "", signal),
    enabled: api !== undefined && endpoint !== undefined,
    staleTime: Number.POSITIVE_INFINITY,
  });
}
