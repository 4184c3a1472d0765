import { useInfiniteQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useSearchParams } from "react-router";

import { Bone } from "../../shared/ui/Bone";
import { Button } from "../../shared/ui/Button";
import { Field, Select, TextInput } from "../../shared/ui/Field";
import { HistoryTable } from "./HistoryTable";
import { type Entry, csvOf, fetchPage, fetchSince } from "./usage";

const TYPES = { charge: "Calls", credit: "Payments in", over: "Overpaid", adjust: "Adjusted" } as const;

/** Every entry of the account, newest first; filters are in the address. */
export function History({ authorization }: { readonly authorization: string }) {
  const [search, setSearch] = useSearchParams();
  const model = search.get("model") ?? "";
  const type = search.get("type") ?? "";
  const { data, error, hasNextPage, isFetchingNextPage, fetchNextPage } = useInfiniteQuery({
    queryKey: ["balance", "history", authorization],
    queryFn: ({ pageParam, signal }) => fetchPage(authorization, pageParam, signal),
    initialPageParam: null as number | null,
    getNextPageParam: ({ next_cursor }) => next_cursor,
  });
  const entries = data?.pages.flatMap((page) => page.entries) ?? [];
  const shown = entries.filter((entry) => matches(entry, model, type));

  function filter(name: string, value: string) {
    const next = new URLSearchParams(search);
    if (value === "") next.delete(name);
    else next.set(name, value);
    setSearch(next, { replace: true });
  }

  return (
    <section aria-labelledby="history-title" className="grid min-w-0 gap-4">
      <div className="flex flex-wrap items-end justify-between gap-x-6 gap-y-3">
        <h2 id="history-title" className="text-h2 font-semibold">
          History
        </h2>
        <div className="grid grid-cols-2 items-end gap-3 sm:flex">
          <div className="sm:w-44">
            <Field label="Model or path">
              {(tied) => (
                <TextInput
                  {...tied}
                  type="search"
                  value={model}
                  onChange={(event) => filter("model", event.target.value)}
                />
              )}
            </Field>
          </div>
          <div className="sm:w-36">
            <Field label="Kind">
              {(tied) => (
                <Select {...tied} value={type} onChange={(event) => filter("type", event.target.value)}>
                  <option value="">All</option>
                  {Object.entries(TYPES).map(([value, name]) => (
                    <option key={value} value={value}>
                      {name}
                    </option>
                  ))}
                </Select>
              )}
            </Field>
          </div>
          <Csv authorization={authorization} />
        </div>
      </div>
      {data === undefined ? (
        error === null ? (
          <Bone className="h-40 w-full" />
        ) : (
          <p className="text-note text-ink2">It cannot be shown right now: {error.message}</p>
        )
      ) : (
        <HistoryTable entries={shown} isFiltered={shown.length < entries.length} />
      )}
      {hasNextPage ? (
        <Button disabled={isFetchingNextPage} onClick={() => void fetchNextPage()} className="w-fit">
          Show older entries
        </Button>
      ) : null}
    </section>
  );
}

function Csv({ authorization }: { readonly authorization: string }) {
  const [state, setState] = useState<"idle" | "reading" | "failed">("idle");

  async function download() {
    setState("reading");
    try {
      const entries = await fetchSince(authorization, 0, new AbortController().signal);
      save(csvOf(entries));
      setState("idle");
    } catch {
      setState("failed");
    }
  }

  return (
    <Button disabled={state === "reading"} onClick={() => void download()}>
      {state === "failed" ? "CSV: try again" : "CSV"}
      <span className="sr-only"> of the whole history</span>
    </Button>
  );
}

function save(csv: string): void {
  const address = URL.createObjectURL(new Blob([csv], { type: "text/csv" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = "history.csv";
  link.click();
  URL.revokeObjectURL(address);
}

function matches(entry: Entry, model: string, type: string): boolean {
  const name = `${entry.model ?? ""} ${entry.path ?? ""}`.toLowerCase();
  return name.includes(model.trim().toLowerCase()) && (type === "" || entry.type === type);
}
