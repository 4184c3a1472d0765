import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";

import { Refused, ask } from "../../shared/request";

const SETTLES_MS = 700;

export interface Quote {
  readonly amount_sats: number;
  readonly max_price_msat: number;
  readonly typical_price_msat: number | null;
}

/** What the request as it stands costs at most: asked once typing pauses. Nothing is asked for uploads. */
export function useQuote(url: string, body: string | null) {
  const settled = useSettled(body);
  return useQuery({
    queryKey: ["quote", url, settled],
    enabled: settled !== null,
    queryFn: ({ signal }) => ask<Quote>(`/api/quote${url}`, { body: settled, signal }),
    placeholderData: keepPreviousData,
    retry: false,
    staleTime: 60_000,
  });
}

/** The quote's refusal of the request, in the server's words; null while there is none. */
export function refusalIn(error: Error | null): Refused | null {
  return error instanceof Refused && error.status === 400 ? error : null;
}

function useSettled(value: string | null): string | null {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), SETTLES_MS);
    return () => clearTimeout(timer);
  }, [value]);
  return settled;
}
