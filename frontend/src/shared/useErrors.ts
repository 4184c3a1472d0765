import { useQuery } from "@tanstack/react-query";

import { fetchErrors } from "./api";

/** The server's one table of errors. It changes with a release only. */
export function useErrors() {
  return useQuery({
    queryKey: ["errors"],
    queryFn: ({ signal }) => fetchErrors(signal),
    staleTime: Number.POSITIVE_INFINITY,
  });
}
